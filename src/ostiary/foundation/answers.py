"""Answers of REST APIs whose type says status and body, which is what the OpenAPI document is made of.

An endpoint that returns a document itself answers 200 with it. One that says more, a header or that
something was made, returns one of these. Routers call `answering` and `answers_of`; what is sent is what the
endpoint made, held against its type by the type checker and by tests.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from types import UnionType
from typing import Any, ClassVar, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic_core import to_json
from starlette.responses import JSONResponse, Response

Document = TypeVar("Document")


class Shown(JSONResponse, Generic[Document]):
    """A document with headers of its own."""

    status: ClassVar = 200

    def __init__(self, document: Document, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(document, self.status, headers)

    def render(self, content: Any) -> bytes:
        """JSON of what documents are made of, dataclasses and enumerations too."""
        return to_json(content, inf_nan_mode="null")


class Created(Shown[Document]):
    """What was made."""

    status: ClassVar = 201


class Empty(Response):
    """That it is so, or was done, and nothing more."""

    status: ClassVar = 200
    media_type = None

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(None, self.status, headers)


class Made(Empty):
    """That something was made, and where."""

    status: ClassVar = 201


class NoContent(Empty):
    """That it was done."""

    status: ClassVar = 204


@dataclass(frozen=True, slots=True)
class Answer:
    """One way in which an endpoint answers when all is well.

    `document` is the type of the body, None where there is none or nothing is said of it.
    """

    document: Any
    kind: type[Response] = Shown
    status: int = 200


def answers_of(endpoint: Callable[..., Any]) -> tuple[Answer, ...]:
    """Read an endpoint's return annotation: a document, one of these responses, or several (`A | B`)."""
    parts = _responses(endpoint)
    if parts is None:
        return (Answer(_annotation(endpoint)),)
    return tuple(
        Answer(next(iter(get_args(part)), None), kind, getattr(kind, "status", 200)) for part, kind in parts
    )


def answering(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The endpoint, with the document it returns, if it does, made a response without looking into it."""
    if _responses(endpoint) is not None:
        return endpoint

    @wraps(endpoint)
    async def shown(*arguments: Any, **named: Any) -> Response:
        return Shown(await endpoint(*arguments, **named))

    return shown


def _annotation(endpoint: Callable[..., Any]) -> Any:
    return get_type_hints(endpoint, include_extras=True).get("return", JSONResponse)


def _responses(endpoint: Callable[..., Any]) -> list[tuple[Any, type[Response]]] | None:
    """Each response of an annotation and its class; None where a document is returned itself."""
    annotation = _annotation(endpoint)
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    found = [(part, get_origin(part) or part) for part in parts]
    return found if all(isinstance(kind, type) and issubclass(kind, Response) for _, kind in found) else None
