"""Resources out of an OpenAPI document."""

from typing import Any

import pytest

from ostiary.apim import AuthType, Invalid, Resource, read_resources

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "components": {
        "securitySchemes": {
            "oauth": {"type": "oauth2"},
            "oidc": {"type": "openIdConnect"},
            "key": {"type": "apiKey"},
        }
    },
    "security": [{"oauth": ["orders:read"]}],
    "paths": {
        "/": {
            "get": {},
            "head": {},
            "post": {"security": [{"oauth": ["orders:write"]}, {"oidc": ["admin", "orders:write"]}]},
        },
        "/{id}": {"parameters": [], "get": {"security": []}, "delete": {"security": [{"key": ["x"]}]}},
    },
}


def test_every_operation_is_a_resource_with_the_scopes_of_its_security():
    assert read_resources(DOCUMENT) == (
        Resource("GET", "/", ("orders:read",)),
        Resource("POST", "/", ("orders:write", "admin")),
        Resource("GET", "/{id}", auth=AuthType.NONE),
        Resource("DELETE", "/{id}"),
    )


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "x",
        {},
        {"openapi": 3},
        {"openapi": "2.0"},
        {"swagger": "2.0"},
        {"openapi": "3.0.0"},
        {"openapi": "3.0.0", "paths": {}},
        {"openapi": "3.0.0", "paths": {"/": None}},
        {"openapi": "3.0.0", "paths": 1},
        {"openapi": "3.0.0", "paths": {"/a/{id}.json": {"get": {}}}},
        {"openapi": "3.0.0", "paths": {"/{a}": {"get": {}}, "/{b}": {"get": {}}}},
    ],
)
def test_what_describes_no_resource_we_can_publish_is_refused(document: Any):
    with pytest.raises(Invalid):
        read_resources(document)


@pytest.mark.parametrize("security", [None, 1, [1], [{"oauth": None}], [{"nobody": ["x"]}], [{"oauth": 5}]])
def test_odd_security_gives_no_scope(security: Any):
    document = DOCUMENT | {"paths": {"/": {"get": {"security": security}}}}
    assert read_resources(document) == (Resource("GET", "/"),)
