"""Every route of the control plane is declared and guarded (security case: unguarded internal endpoint)."""

import asyncio
import base64
import re
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.routing import Mount
from starlette.testclient import TestClient

from ostiary.app import Settings, build_app, framework_of
from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import Database
from ostiary.identity import bootstrap_admin
from ostiary.permissions import Audience, GuardedRoute

PROTOCOL_ENDPOINTS = {
    "/token", "/revoke", "/jwks", "/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/oauth2/jwks",
    "/gateway/jwks", "/.well-known/oauth-authorization-server",
    "/scim2/ServiceProviderConfig", "/scim2/ResourceTypes", "/scim2/ResourceTypes/{resource_id}",
    "/scim2/Schemas", "/scim2/Schemas/{resource_id}",
}  # fmt: skip
"""What anybody may call; the endpoint authenticates clients itself where its protocol says so. What there is
of SCIM tells nothing of anybody (RFC 7644 §4)."""


PASSWORD = "correct horse battery staple"


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def make_administrator(settings: Settings) -> None:
    async def bootstrap() -> None:
        database = Database.open(settings.database)
        await bootstrap_admin(database, utc_now, SecretStr(PASSWORD))
        await database.close()

    asyncio.run(bootstrap())


def all_routes(settings: Settings) -> list[Any]:
    """Every route of the app, what is mounted below an organization left out: it is among the others."""
    *routes, below = framework_of(build_app(settings)).routes
    assert isinstance(below, Mount)
    assert all(route in routes for route in below.routes)
    return routes


def test_there_are_routes_and_each_declares_its_access(settings: Settings) -> None:
    routes = all_routes(settings)

    assert len(routes) > 50
    assert [route.path for route in routes if not isinstance(route, GuardedRoute)] == []


def test_only_protocol_endpoints_are_open(settings: Settings) -> None:
    open_paths = {r.path for r in all_routes(settings) if r.access.audience is Audience.ANYBODY}

    bare = {re.sub(r"^/t/\{organization\}|/t/\{organization\}$", "", path) for path in open_paths}
    assert bare == PROTOCOL_ENDPOINTS


def test_internal_gateway_routes_are_for_nodes_and_nothing_else_is(settings: Settings) -> None:
    for route in all_routes(settings):
        is_for_nodes = route.access.audience in (Audience.GATEWAY_NODE, Audience.NEW_GATEWAY_NODE)
        assert route.path.startswith("/internal/") is is_for_nodes, route.path


def test_a_node_that_enrols_reaches_two_routes(settings: Settings) -> None:
    new = {r.path for r in all_routes(settings) if r.access.audience is Audience.NEW_GATEWAY_NODE}

    assert new == {"/internal/gateway/v1/authority", "/internal/gateway/v1/enrol"}


CREDENTIALS = [
    {},
    {"Authorization": "Bearer nonsense"},
    {"Authorization": "Basic YWRtaW46YWRtaW4="},
    {"Authorization": "Basic not-base64"},
    {"X-Forwarded-User": "admin", "X-Local-Administrator": "true"},
]


@pytest.mark.parametrize("headers", CREDENTIALS, ids=str)
def test_nobody_passes_a_guarded_route_without_valid_credentials(
    settings: Settings, whole_app: TestClient, headers: dict[str, str]
) -> None:
    guarded = [route for route in all_routes(settings) if route.access.audience is not Audience.ANYBODY]
    if headers.get("Authorization", "").startswith("Basic YW"):
        guarded = guarded[::8]  # each refused password takes its time

    for route in guarded:
        for above in ("", "/t/acme", "/t/nowhere")[: 1 + 2 * route.per_organization]:
            path = above + re.sub(r"\{(\w+)(:\w+)?\}", "x", route.path)
            for method in route.methods:
                response = whole_app.request(method, path, headers=headers, content=b"{")
                assert response.status_code == 401, f"{method} {path}: {response.status_code}"
                assert response.headers["www-authenticate"].startswith("Bearer")


def test_an_unknown_address_is_a_404_that_says_so(whole_app: TestClient) -> None:
    response = whole_app.get("/api/nothing/v1")

    assert response.status_code == 404
    assert response.json()["description"] == "there is nothing at this address"
    assert response.json()["traceId"] == response.headers["x-request-id"]


def test_a_method_that_is_not_there_is_told_apart_from_an_address_that_is_not(whole_app: TestClient):
    response = whole_app.request("TRACE", "/api/oauth/v1/clients")

    assert response.status_code == 405
    assert response.json()["message"] == "Method Not Allowed"
    assert response.json()["description"] == "this address does not take this method"


def test_a_guesser_at_one_address_locks_out_no_administrator_at_another(
    settings: Settings, whole_app: TestClient
) -> None:
    make_administrator(settings)
    guess = {"Authorization": basic("admin", "wrong"), "X-Forwarded-For": "203.0.113.9"}
    right = {"Authorization": basic("admin", PASSWORD)}
    path = "/api/oauth/v1/clients"

    assert {whole_app.get(path, headers=guess).status_code for _ in range(7)} == {401}

    assert whole_app.get(path, headers={**right, "X-Forwarded-For": "203.0.113.9"}).status_code == 401
    assert whole_app.get(path, headers={**right, "X-Forwarded-For": "198.51.100.7"}).status_code == 200
