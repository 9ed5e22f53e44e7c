"""Reading requests: identifiers, addresses, forms without surprises.

The HAProxy in front sets `X-Request-Id` and `X-Forwarded-For` and removes the client's own; workers
listen on unix sockets only, so what arrives in those headers is ours. The node listener keeps what an
enrolled gateway node set there in the same way.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostiary.foundation.identifiers import new_id
from ostiary.foundation.problem import Problem
from ostiary.foundation.strict_json import AmbiguousJSON, read_json

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_FORM_BYTES = 65_536
MAX_FORM_FIELDS = 50
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


class MalformedForm(Exception):
    """The body is not a form we accept; the text is for the client."""


class BodyTooLong(Exception):
    """The body has more bytes than the endpoint takes; the text is for the client."""


class RequestId:
    """Gives each request its identifier and puts it on the answer as `X-Request-Id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"x-request-id"), "")
        identifier = given if _REQUEST_ID.match(given) else new_id()
        scope.setdefault("state", {})["request_id"] = identifier

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [(k, v) for k, v in message["headers"] if k.lower() != b"x-request-id"]
                message["headers"] = [*others, (b"x-request-id", identifier.encode())]
            await send(message)

        await self._app(scope, receive, send_with_id)


class StrictRequest(Request):
    """A request whose body is bounded, and whose JSON can be read one way only: see `strict_json.py`."""

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            HTTPException: 413, it is too long.
        """
        if not hasattr(self, "_body"):
            try:
                self._body = await bounded_body(self, MAX_BODY_BYTES)
            except BodyTooLong as error:
                raise HTTPException(413, str(error)) from error
        return self._body

    async def json(self) -> Any:
        """The body.

        Raises:
            HTTPException: 400, it can be read in two ways.
            ValueError: it is not JSON.
        """
        return strict_json(await self.body())


def strict_json(body: bytes) -> Any:
    """What a JSON text says; see `StrictRequest`."""
    try:
        return read_json(body)
    except AmbiguousJSON as error:
        raise HTTPException(400, f"the body: {error}") from error


class PlainPaths:
    """Refuses a path that could be read in two ways with a 400, before anything is decided by it.

    What is decoded, routed and guarded is then one and the same text (WSO2-2022-2177: dot segments and `;`).
    """

    def __init__(self, app: ASGIApp, refused: Callable[[Problem, Request], Response]) -> None:
        self._app = app
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_plain(scope.get("raw_path") or scope["path"].encode()):
            problem = Problem(400, "400", "Bad Request", _NOT_PLAIN)
            await self._refused(problem, Request(scope))(scope, receive, send)
            return
        await self._app(scope, receive, send)


_NOT_PLAIN = (
    "the path could be read in two ways: use no segment of dots alone, no `;` or backslash, no control "
    "characters, and encode each character once"
)
_NEVER_IN_A_PATH = re.compile(rb"[\x00-\x1f\x7f%;\\]")
_DOTS_ALONE = re.compile(rb"(?:^|/)(?:\.|%2e)+(?:/|$)", re.IGNORECASE)
_ENCODED_DOT_FIRST = re.compile(rb"(?:^|/)%2e", re.IGNORECASE)


def is_plain(raw_path: bytes) -> bool:
    """Whether a path as it was sent can be read in one way alone."""
    decoded = unquote_to_bytes(raw_path)
    try:
        decoded.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not (
        _NEVER_IN_A_PATH.search(decoded)
        or _ENCODED_DOT_FIRST.search(raw_path)
        or _DOTS_ALONE.search(raw_path)
        or _DOTS_ALONE.search(decoded)
    )


NODE_HEADER = "X-Ostiary-Node"
"""Which gateway node's certificate the node listener verified; it removes the client's own."""


def came_from_node_listener(scope: Scope) -> bool:
    """Whether the request was accepted on the socket that only the node listener connects to."""
    return scope.get("state", {}).get("node_listener") is True


def node_of_certificate(scope: Scope) -> str | None:
    """The identifier in the certificate a gateway node presented; believed from the node listener alone."""
    if not came_from_node_listener(scope):
        return None
    wanted = NODE_HEADER.lower().encode()
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]
    return given[0] if len(given) == 1 and given[0] else None


def request_id(request: Request) -> str:
    """The identifier of this request, which logs and `X-Request-Id` carry."""
    return str(request.scope.get("state", {}).get("request_id", "unknown"))


def client_address(request: Request) -> str:
    """The address the request came from, as the listener saw it; "local" on the administration socket."""
    forwarded = request.headers.get("x-forwarded-for", "")
    return forwarded.rpartition(",")[2].strip() or (request.client.host if request.client else "local")


async def read_form(request: Request) -> dict[str, str]:
    """The form in the body. RFC 6749 §3.1: empty values count as omitted, none may be repeated.

    Raises:
        MalformedForm: another content type, too long, not UTF-8, or a repeated parameter.
    """
    if (
        request.headers.get("content-type", "").partition(";")[0].strip().lower()
        != "application/x-www-form-urlencoded"
    ):
        raise MalformedForm("the body must be application/x-www-form-urlencoded")
    try:
        return parse_form(await bounded_body(request, MAX_FORM_BYTES))
    except BodyTooLong as error:
        raise MalformedForm(str(error)) from error


def parse_form(body: bytes) -> dict[str, str]:
    """Parse a urlencoded form strictly; see `read_form`."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError as error:
        raise MalformedForm("the body is not a well-formed UTF-8 form") from error
    names = [name for name, _ in pairs]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise MalformedForm("a parameter is repeated")
    return {name: value for name, value in pairs if value}


async def bounded_body(request: Request, longest: int) -> bytes:
    """The whole body.

    Raises:
        BodyTooLong: it has more than `longest` bytes; no more of it was read.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > longest:
            raise BodyTooLong(f"the body is longer than {longest} bytes")
    return bytes(body)
