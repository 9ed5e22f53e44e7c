"""Answers of protocol endpoints: never cached (RFC 6749 §5.1), errors in one form (§5.2)."""

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, Final, Generic, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from ostiary.foundation.answers import Empty
from ostiary.foundation.problem import Problem
from ostiary.foundation.telemetry import get_logger
from ostiary.foundation.web import request_id
from ostiary.oauth.errors import InvalidClient, OAuthError
from ostiary.organizations import OrganizationGone

_log = get_logger(__name__)
_NOT_CACHED: Mapping[str, str] = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_HEAD = [(name.lower().encode(), value.encode()) for name, value in _NOT_CACHED.items()]

_CODES = {500: "server_error"}
PLACE: Final = re.compile(r"(/t/[^/]+)?/(oauth2/)?(token|revoke|introspect)\Z")
"""Where whoever asks reads errors of RFC 6749."""
Document = TypeVar("Document")
Handler = Callable[[Request], Awaitable[Response]]


class OAuthErrorDocument(TypedDict):
    """A refusal (RFC 6749 §5.2)."""

    error: str
    error_description: str


class Uncached(Response, Generic[Document]):
    """An answer in JSON that nobody may keep."""

    def __init__(self, body: Document, status: int = 200) -> None:
        self.status_code = status
        self.body = orjson.dumps(body)
        self.background = None
        length = (b"content-length", b"%d" % len(self.body))
        self.raw_headers = [length, (b"content-type", b"application/json"), *_HEAD]


def empty_answer() -> Empty:
    """A success that says nothing (RFC 7009 §2.2)."""
    return Empty(_NOT_CACHED)


def render(error: OAuthError) -> Response:
    """A refusal, the client's part of it only."""
    rendered = Uncached(_document(error.error, error.description), error.status)
    rendered.headers.update(error.headers)
    return rendered


def refusal(problem: Problem) -> Response:
    """How a refusal looks that comes before the protocol, such as one of the path."""
    rendered = Uncached(
        _document(_CODES.get(problem.status, "invalid_request"), problem.description), problem.status
    )
    rendered.headers.update(problem.headers)
    return rendered


def _document(error: str, description: str) -> OAuthErrorDocument:
    return {"error": error, "error_description": description}


def form_of(*names: str) -> dict[str, Any]:
    """The form that a protocol endpoint takes, as the OpenAPI document says it."""
    properties = {name: {"type": "string"} for name in names}
    form = {"schema": {"type": "object", "properties": properties}}
    return {"requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": form}}}


async def _answered(handler: Handler, request: Request) -> Response:
    try:
        return await handler(request)
    except OrganizationGone as gone:
        raise InvalidClient("the client is not known", "its organization was removed meanwhile") from gone


def protocol(handler: Handler) -> Handler:
    """An endpoint whose `OAuthError`s are rendered here and nowhere else."""

    @wraps(handler)
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

    return endpoint
