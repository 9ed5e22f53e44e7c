"""Answers of protocol endpoints: never cached (RFC 6749 §5.1), errors in one form (§5.2)."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from ostiary.foundation.telemetry import get_logger
from ostiary.foundation.web import request_id
from ostiary.oauth.errors import InvalidClient, OAuthError
from ostiary.organizations import OrganizationGone

_log = get_logger(__name__)
_NOT_CACHED: Mapping[str, str] = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_HEAD = [(name.lower().encode(), value.encode()) for name, value in _NOT_CACHED.items()]

Handler = Callable[[Request], Awaitable[Response]]


class _JSON(Response):
    """An answer in JSON that nobody may keep."""

    def __init__(self, body: Mapping[str, Any], status: int = 200) -> None:
        self.status_code = status
        self.body = orjson.dumps(body)
        self.background = None
        length = (b"content-length", b"%d" % len(self.body))
        self.raw_headers = [length, (b"content-type", b"application/json"), *_HEAD]


def answer(body: Mapping[str, Any]) -> Response:
    """A successful answer that nobody may keep."""
    return _JSON(body)


def empty_answer() -> Response:
    """A success that says nothing (RFC 7009 §2.2)."""
    return Response(status_code=200, headers=dict(_NOT_CACHED))


def render(error: OAuthError) -> Response:
    """A refusal, the client's part of it only."""
    body = {"error": error.error, "error_description": error.description}
    rendered = _JSON(body, error.status)
    rendered.headers.update(error.headers)
    return rendered


async def _answered(handler: Handler, request: Request) -> Response:
    try:
        return await handler(request)
    except OrganizationGone as gone:
        raise InvalidClient("the client is not known", "its organization was removed meanwhile") from gone


def protocol(handler: Handler) -> Handler:
    """An endpoint whose `OAuthError`s are rendered here and nowhere else."""

    async def endpoint(request: Request) -> Response:
        try:
            return await _answered(handler, request)
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
