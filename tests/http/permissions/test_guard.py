"""The guard on real routes: default deny, before the body is read."""

from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.testclient import TestClient

from ostiary.foundation.problem import Problem, render
from ostiary.organizations import Organization
from ostiary.permissions import (
    AUTHENTICATED,
    GATEWAY_NODE,
    OPEN,
    Guard,
    GuardedRouter,
    Principal,
    PrincipalKind,
    needs,
    principal,
)

DEFAULT = Organization("1", "default", "Default")
ACME = Organization("2", "acme", "Acme")
CALLERS = {
    "admin": Principal(PrincipalKind.USER, "admin@default", "1", "s1", frozenset({"admin"})),
    "user": Principal(PrincipalKind.USER, "user@default", "1", "s2", frozenset()),
    "acme-admin": Principal(PrincipalKind.USER, "admin@acme", "2", "s3", frozenset({"admin"})),
    "local": Principal(PrincipalKind.LOCAL, "local"),
    "node": Principal(PrincipalKind.NODE, "node-1"),
}


class Body(BaseModel):
    number: int


def an_app() -> TestClient:
    router = GuardedRouter("/x")

    @router.get("/open", access=OPEN)
    async def open_(request: Request) -> Response:
        return JSONResponse("open")

    @router.get("/any", access=AUTHENTICATED)
    async def any_(request: Request) -> Response:
        return JSONResponse(principal(request).name)

    @router.post("/admin", access=needs("/permission/admin/manage/x", "internal_x"))
    async def admin(body: Body) -> int:
        return body.number

    @router.get("/node", access=GATEWAY_NODE)
    async def node(request: Request) -> Response:
        return JSONResponse("node")

    async def identify(request: Request, organization: Organization) -> Principal | None:
        return CALLERS.get(request.headers.get("authorization", ""))

    async def find(name: str) -> Organization | None:
        return {"default": DEFAULT, "acme": ACME}.get(name)

    app = FastAPI(docs_url=None, redoc_url=None)
    app.state.guard = Guard(identify, find)
    app.include_router(router.router)
    app.add_exception_handler(Problem, lambda request, error: render(error, "t"))  # type: ignore[arg-type]
    return TestClient(app)


def status(method: str, path: str, caller: str = "", **options: Any) -> int:
    return an_app().request(method, path, headers={"Authorization": caller}, **options).status_code


@pytest.mark.parametrize("caller", ["", "nobody", "user", "node"])
def test_an_open_route_is_for_everybody(caller: str) -> None:
    assert status("GET", "/x/open", caller) == 200


MATRIX = [
    (
        "/x/any",
        {"admin": 200, "user": 200, "acme-admin": 403, "local": 200, "node": 403, "": 401, "nobody": 401},
    ),
    ("/t/acme/x/any", {"admin": 403, "acme-admin": 200, "user": 403, "local": 200, "": 401}),
    ("/t/unknown/x/any", {"admin": 401, "local": 401, "": 401}),
    ("/x/node", {"node": 200, "admin": 403, "local": 403, "user": 403, "": 401}),
]


@pytest.mark.parametrize(
    ("path", "caller", "expected"), [(p, c, s) for p, row in MATRIX for c, s in row.items()]
)
def test_who_passes_what(path: str, caller: str, expected: int) -> None:
    assert status("GET", path, caller) == expected


@pytest.mark.parametrize(
    ("caller", "expected"), [("", 401), ("user", 403), ("acme-admin", 403), ("admin", 422)]
)
def test_the_body_is_judged_after_the_caller(caller: str, expected: int) -> None:
    assert status("POST", "/x/admin", caller, content=b"not json") == expected


@pytest.mark.parametrize("name", ["%E2%82%AC", "x%22,%20error=%22y", "%C3%A9", "x%20y"])
def test_an_organization_in_the_url_injects_nothing_into_the_challenge(name: str) -> None:
    """RFC 6750 §3: the realm is a quoted string of a header, which takes neither quotes nor every letter."""
    response = an_app().get(f"/t/{name}/x/any")

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="default"'


def test_a_refusal_says_what_the_call_takes() -> None:
    response = an_app().post("/x/admin", json={"number": 1}, headers={"Authorization": "user"})

    assert response.json() == {
        "code": "403",
        "message": "Forbidden",
        "description": "this call takes the permission /permission/admin/manage/x"
        " in the organization default",
        "traceId": "t",
    }


def test_a_route_without_access_cannot_be_registered() -> None:
    router = GuardedRouter("/x")

    with pytest.raises(TypeError, match="access"):
        router.get("/forgotten")  # type: ignore[call-arg]


def test_the_openapi_document_says_what_each_route_takes() -> None:
    document = an_app().get("/openapi.json").json()

    assert document["paths"]["/x/admin"]["post"]["security"] == [{"oauth2": ["internal_x"]}, {"basic": []}]
    assert document["paths"]["/x/open"]["get"]["security"] == []


@pytest.mark.parametrize(
    "permission", ["admin", "/permission/admin/", "/permission//admin", "/permissions/admin"]
)
def test_a_permission_is_spelled_one_way(permission: str) -> None:
    with pytest.raises(ValueError, match="not a permission"):
        needs(permission)
