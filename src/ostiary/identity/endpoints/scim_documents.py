"""SCIM on the wire, as far as the OpenAPI document says it: /scim2/Schemas says what a resource has.

What each operation answers and takes is a row of a table; `scim` registers it.
"""

from typing import Any, Final, NotRequired

from pydantic import ConfigDict, with_config
from scim2_server.responses import SCIM_MEDIA_TYPE
from starlette.responses import JSONResponse
from typing_extensions import TypedDict

from ostiary.foundation.answers import Answer


@with_config(ConfigDict(extra="allow"))
class SCIMMetaDocument(TypedDict):
    """What kind of resource it is, and where (RFC 7643 §3.1)."""

    resourceType: str
    location: str


@with_config(ConfigDict(extra="allow"))
class SCIMResourceDocument(TypedDict):
    """A resource with the attributes of its schemas (RFC 7643 §3); /scim2/Schemas describes them."""

    schemas: list[str]
    id: NotRequired[str]
    meta: NotRequired[SCIMMetaDocument]


class SCIMListDocument(TypedDict):
    """A page of resources; `startIndex` counts from one (RFC 7644 §3.4.2)."""

    schemas: list[str]
    totalResults: int
    startIndex: NotRequired[int]
    itemsPerPage: NotRequired[int]
    Resources: NotRequired[list[SCIMResourceDocument]]


@with_config(ConfigDict(extra="allow"))
class SCIMDoneDocument(TypedDict):
    """What became of one operation; a refused one has the error as its `response`."""

    status: str
    method: NotRequired[str]


class SCIMBulkDocument(TypedDict):
    """What became of each operation (RFC 7644 §3.7)."""

    schemas: list[str]
    Operations: list[SCIMDoneDocument]


class SCIMErrorDocument(TypedDict):
    """A refusal (RFC 7644 §3.12)."""

    schemas: list[str]
    status: str
    detail: NotRequired[str]
    scimType: NotRequired[str]


MEDIA_TYPE: Final = SCIM_MEDIA_TYPE


class SCIMJSON(JSONResponse):
    """Any answer (RFC 7644 §8.1)."""

    media_type = MEDIA_TYPE


_EMPTY: Final = (204, 304)
_NAMES: Final = {"type": "array", "items": {"type": "string"}}


def _answers(document: type, *statuses: int) -> tuple[Answer, ...]:
    return tuple(Answer(None if s in _EMPTY else document, SCIMJSON, s) for s in statuses)


def _listing(name: str, items: dict[str, Any]) -> dict[str, Any]:
    listed = {"type": "array", "items": items}
    properties = {"schemas": _NAMES, name: listed}
    return {"type": "object", "properties": properties, "required": [name]}


ANSWERS: Final = {
    "search": _answers(SCIMListDocument, 200),
    "search_with_body": _answers(SCIMListDocument, 200),
    "create": _answers(SCIMResourceDocument, 201),
    "query": _answers(SCIMResourceDocument, 200, 304),
    "replace": _answers(SCIMResourceDocument, 200),
    "patch": _answers(SCIMResourceDocument, 200, 204),
    "delete": _answers(SCIMResourceDocument, 204),
    "bulk": _answers(SCIMBulkDocument, 200),
    "service_provider_config": _answers(SCIMResourceDocument, 200),
    "resource_types": _answers(SCIMListDocument, 200),
    "resource_type": _answers(SCIMResourceDocument, 200),
    "schemas": _answers(SCIMListDocument, 200),
    "schema": _answers(SCIMResourceDocument, 200),
}
"""What each operation answers, the usual way first."""
REFUSALS: Final = {
    "search": (501,),
    "search_with_body": (415, 501),
    "create": (409, 415),
    "query": (404,),
    "replace": (404, 409, 412, 415),
    "patch": (404, 409, 412, 415),
    "delete": (409, 412),
    "bulk": (415,),
    "service_provider_config": (403, 404),
    "resource_types": (403, 404),
    "resource_type": (403, 404),
    "schemas": (403, 404),
    "schema": (403, 404),
}
"""Statuses of refusals besides those that follow from what an operation takes.
A filter on what there is of SCIM is a 403 (RFC 7644 §4)."""
_RESOURCE: Final = {"type": "object", "properties": {"schemas": _NAMES}, "required": ["schemas"]}
BODIES: Final = {
    "search_with_body": {"type": "object"},
    "create": _RESOURCE,
    "replace": _RESOURCE,
    "patch": _listing("Operations", {"type": "object"}),
    "bulk": _listing("Operations", {}),
}
"""What the bodies of operations are, in general (RFC 7644 §3)."""


def request_body(operation: str) -> dict[str, Any]:
    """What the OpenAPI document says of the body of an operation; the service reads it."""
    if operation not in BODIES:
        return {}
    said = {"schema": BODIES[operation]}
    return {
        "requestBody": {"required": True, "content": dict.fromkeys((MEDIA_TYPE, "application/json"), said)}
    }
