"""The OpenAPI document of the REST APIs: what the framework knows of them, and what it cannot know.

An operation's own answers are its endpoint's annotation. Its refusals follow from what it takes (`FOLLOWING`)
and from what its route says besides; how they read follows from where it is (`dialects`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal

from fastapi import FastAPI
from pydantic import TypeAdapter

from ostiary.app.dialects import DIALECTS, Dialect, dialect_at
from ostiary.foundation.answers import Answer
from ostiary.permissions import Audience, GuardedRoute

_Schemas = Mapping[Any, Any]
"""The schema of a document, by its type."""
_RESPONSES: Final = "#/components/responses/"
_REF: Final = "#/components/schemas/{model}"
_FRAMEWORKS_OWN: Final = ("HTTPValidationError", "ValidationError")
"""What the framework says of a 422, which nothing here answers."""


def _takes_anything(_route: GuardedRoute, operation: dict[str, Any]) -> bool:
    return "parameters" in operation or "requestBody" in operation


def _is_guarded(route: GuardedRoute, _operation: dict[str, Any]) -> bool:
    return route.access.audience is not Audience.ANYBODY


def _names_a_thing(route: GuardedRoute, operation: dict[str, Any]) -> bool:
    places = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
    return _is_guarded(route, operation) and bool(places - {"organization"})


def _has_a_body(route: GuardedRoute, operation: dict[str, Any]) -> bool:
    return _is_guarded(route, operation) and "requestBody" in operation


FOLLOWING: Final[tuple[tuple[int, Callable[[GuardedRoute, dict[str, Any]], bool]], ...]] = (
    (400, _takes_anything),
    (401, _is_guarded),
    (403, _is_guarded),
    (404, _names_a_thing),
    (413, _has_a_body),
    (503, _is_guarded),  # nobody can say whether a password is right
)
"""Which refusals an operation has because of what it takes."""
SECURITY_SCHEMES: Final = {
    "oauth2": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token of the organization in the URL, with the scopes that are listed.",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "User name and password, where `access.basic_authentication` allows them.",
    },
}


class Documented(FastAPI):
    """The framework's app, whose document says all that it answers."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document, made when it is first asked for."""
        if self.openapi_schema is None:
            self.openapi_schema = _completed(
                super().openapi(), (route for route in self.routes if isinstance(route, GuardedRoute))
            )
        return self.openapi_schema


def _completed(document: dict[str, Any], routes: Iterable[GuardedRoute]) -> dict[str, Any]:
    described = [route for route in routes if route.include_in_schema]
    schemas, definitions = _schemas(described)
    components = document.setdefault("components", {})
    own = components.setdefault("schemas", {})
    components["schemas"] = {n: s for n, s in own.items() if n not in _FRAMEWORKS_OWN} | definitions
    components["securitySchemes"] = SECURITY_SCHEMES
    refusals: dict[str, Any] = {}
    components["responses"] = refusals
    for route in described:
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            statuses = {status for status, holds in FOLLOWING if holds(route, operation)} | route.refuses
            named = {status: _Refusal(dialect_at(route.path), status) for status in sorted(statuses)}
            operation["responses"] = {
                **{str(one.status): _response(one, schemas) for one in route.answers},
                **{str(status): {"$ref": f"{_RESPONSES}{one.name}"} for status, one in named.items()},
            }
            refusals |= {one.name: one.response(schemas) for one in named.values()}
    return document


@dataclass(frozen=True, slots=True)
class _Refusal:
    dialect: Dialect
    status: int

    @property
    def name(self) -> str:
        return f"{self.dialect.name}{self.status}"

    def response(self, schemas: _Schemas) -> dict[str, Any]:
        schema = schemas[self.dialect.document]
        content = {self.dialect.media_type: {"schema": schema}}
        return {"description": HTTPStatus(self.status).phrase, "content": content}


def _response(answer: Answer, schemas: _Schemas) -> dict[str, Any]:
    said: dict[str, Any] = {"description": HTTPStatus(answer.status).phrase}
    if answer.document is not None:
        said["content"] = {_media_type(answer): {"schema": schemas[answer.document]}}
    return said


def _media_type(answer: Answer) -> str:
    return answer.kind.media_type or "application/json"


def _schemas(routes: Iterable[GuardedRoute]) -> tuple[_Schemas, dict[str, Any]]:
    """The schema of each document, and the definitions that they refer to."""
    documents = [dialect.document for dialect in DIALECTS]
    documents += [one.document for route in routes for one in route.answers if one.document is not None]
    each: list[tuple[Any, Literal["serialization"], TypeAdapter[Any]]] = [
        (document, "serialization", TypeAdapter(document)) for document in dict.fromkeys(documents)
    ]
    found, definitions = TypeAdapter.json_schemas(each, ref_template=_REF)
    return {document: schema for (document, _), schema in found.items()}, definitions.get("$defs", {})
