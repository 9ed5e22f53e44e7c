"""Answers held against the OpenAPI document: status and media type declared, each body as its schema says.

The document leaves room for members to come; here nothing may be in an answer that the document does not say.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from typing import Any

import jsonschema_rs
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostiary.app import framework_of

JSON = ("/json", "+json")


def closed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with answers that have the members it names and no others."""
    found: dict[str, Any] = deepcopy(dict(document))
    schemas = found["components"]["schemas"]
    bodies = [
        one["requestBody"]
        for item in found["paths"].values()
        for one in item.values()
        if "requestBody" in one
    ]
    taken = set(_referred(bodies, schemas))
    for name, schema in schemas.items():
        if name not in taken and "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return found


def _referred(part: Any, schemas: Mapping[str, Any], seen: set[str] | None = None) -> Iterator[str]:
    """Names of the schemas that a part of the document is made of."""
    seen = set() if seen is None else seen
    if isinstance(part, list):
        for one in part:
            yield from _referred(one, schemas, seen)
    elif isinstance(part, dict):
        name = str(part.get("$ref", "")).rpartition("/")[2]
        if name in schemas and name not in seen:
            seen.add(name)
            yield name
            yield from _referred(schemas[name], schemas, seen)
        for one in part.values():
            yield from _referred(one, schemas, seen)


class Document:
    """The OpenAPI document of an app, to ask whether an answer is as it says."""

    def __init__(self, app: ASGIApp) -> None:
        self._whole = closed(framework_of(app).openapi())
        self._validator = cache(self._made)

    def complaint(self, path: str, method: str, status: int, media_type: str, body: bytes) -> str | None:
        """What is wrong with an answer of an operation; None where nothing is."""
        operation = self._whole["paths"].get(path, {}).get(method.lower())
        if operation is None or method == "HEAD":
            return None
        said = operation["responses"].get(str(status))
        if said is None:
            return f"{status} is not declared"
        content = self._response(said).get("content", {})
        if not content:
            return f"{status} has a body" if body else None
        if media_type not in content:
            return f"{status} is {media_type}, not {' or '.join(content)}"
        if not media_type.endswith(JSON):
            return None
        problem = next(
            iter(self._validator(path, method.lower(), status, media_type).iter_errors(json.loads(body))),
            None,
        )
        return None if problem is None else f"{status}: {problem.message} at {problem.instance_path}"

    def _response(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        name = str(said.get("$ref", "")).rpartition("/")[2]
        found: Mapping[str, Any] = self._whole["components"]["responses"][name] if name else said
        return found

    def _made(self, path: str, method: str, status: int, media_type: str) -> Any:
        said = self._response(self._whole["paths"][path][method]["responses"][str(status)])
        schema = said["content"][media_type]["schema"]
        return jsonschema_rs.Draft202012Validator({**schema, "components": self._whole["components"]})


_DOCUMENTS: list[Document] = []
"""Of this process: which settings an app has changes nothing that a document says of its answers."""


class Conforming:
    """Passes requests on, and notes each answer that is not as the document says."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        if not _DOCUMENTS:
            _DOCUMENTS.append(Document(app))
        self.complaints: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send)
        await self.app(scope, receive, answer.send)
        path = getattr(scope.get("route"), "path", "").replace(":path}", "}")
        complaint = _DOCUMENTS[0].complaint(
            path, scope["method"], answer.status, answer.media_type, answer.body
        )
        if complaint is not None and answer.status != 405:
            self.complaints.append(f"{scope['method']} {path}: {complaint}")


@contextmanager
def conforming(app: ASGIApp) -> Iterator[TestClient]:
    """An HTTP client of an app, whose every answer was as the document says when the test is over."""
    watched = Conforming(app)
    with TestClient(watched, raise_server_exceptions=False) as client:
        yield client
    assert watched.complaints == []


class _Answer:
    """An answer as it goes by."""

    status, media_type, body = 0, "", b""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = {name.lower(): value.decode() for name, value in message["headers"]}
            self.media_type = headers.get(b"content-type", "").partition(";")[0]
        else:
            self.body += message.get("body", b"")
        await self._send(message)
