"""Answers of protocol endpoints: never cached (RFC 6749 §5.1), errors in one form (§5.2)."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ostiary.foundation.telemetry import get_logger
from ostiary.foundation.web import request_id
from ostiary.oauth.errors import OAuthError

_log = get_logger(__name__)
_NOT_CACHED: Mapping[str, str] = {"Cache-Control": "no-store", "Pragma": "no-cache"}

Handler = Callable[[Request], Awaitable[Response]]


def answer(body: Mapping[str, Any]) -> Response:
    """A successful answer that nobody may keep."""
    return JSONResponse(dict(body), headers=dict(_NOT_CACHED))


def empty_answer() -> Response:
    """A success that says nothing (RFC 7009 §2.2)."""
    return Response(status_code=200, headers=dict(_NOT_CACHED))


def render(error: OAuthError) -> Response:
    """A refusal, the client's part of it only."""
    body = {"error": error.error, "error_description": error.description}
    return JSONResponse(body, error.status, {**_NOT_CACHED, **error.headers})


def protocol(handler: Handler) -> Handler:
    """An endpoint whose `OAuthError`s are rendered here and nowhere else."""

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(request)
        except OAuthError as error:
            request.state.refused = error  # for whoever explains it to an administrator
            _log.info(
                "oauth_refused",
                path=request.url.path,
                error=error.error,
                reason=str(error),
                request_id=request_id(request),
            )
            return render(error)

    endpoint.__name__ = handler.__name__
    endpoint.__doc__ = handler.__doc__
    return endpoint
