"""The guard on real routes: default deny, before the body is read."""

from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.testclient import TestClient

from ostiary.foundation.problem import Problem, render
from ostiary.organizations import Organization
from ostiary.permissions import (
    ADMIN,
    GATEWAY_NODE,
    LOCAL_ADMINISTRATOR,
    LOGGED_IN,
    OPEN,
    Access,
    AccessOverride,
    Guard,
    GuardedRouter,
    Principal,
    PrincipalKind,
    needs,
    principal,
    serve,
)

DEFAULT = Organization("1", "default", "Default")
ACME = Organization("2", "acme", "Acme")
LIST = "/permission/admin/manage/identity/usermgt/list"
TO_LIST = frozenset({"internal_user_mgt_list"})
ALL, MAY, NEITHER = frozenset({ADMIN}), frozenset({LIST}), frozenset[str]()


def a_user(name: str, organization: str, permissions: frozenset[str], *scopes: str) -> Principal:
    """Whoever presents a token with these scopes."""
    return Principal(PrincipalKind.USER, name, organization, "s", "c", permissions, frozenset(scopes))


CALLERS = {
    "admin by password": Principal(PrincipalKind.USER, "admin", "1", "s1", permissions=ALL),
    "user by password": Principal(PrincipalKind.USER, "user", "1", "s2", permissions=NEITHER),
    "scope and permission": a_user("eve", "1", MAY, "internal_user_mgt_list"),
    "scope alone": a_user("demoted", "1", NEITHER, "internal_user_mgt_list"),
    "permission alone": a_user("narrow", "1", ALL, "internal_user_mgt_view", "internal_login"),
    "client": Principal(
        PrincipalKind.CLIENT, "job", "1", None, "job", MAY, frozenset({"internal_user_mgt_list"})
    ),
    "acme admin": Principal(PrincipalKind.USER, "admin@acme", "2", "s3", permissions=ALL),
    "local": LOCAL_ADMINISTRATOR,
    "node": Principal(PrincipalKind.NODE, "node-1"),
}


class Body(BaseModel):
    number: int


def a_router() -> GuardedRouter:
    router = GuardedRouter("/x")

    @router.get("/open", access=OPEN)
    async def open_(request: Request) -> Response:
        return JSONResponse("open")

    @router.get("/me", access=LOGGED_IN)
    async def me(request: Request) -> Response:
        return JSONResponse(principal(request).name)

    @router.post("/users", access=needs(LIST, "internal_user_mgt_list"))
    async def users(body: Body) -> int:
        return body.number

    @router.get("/node", access=GATEWAY_NODE)
    async def node(request: Request) -> Response:
        return JSONResponse("node")

    return router


def an_app(router: GuardedRouter) -> TestClient:
    async def identify(request: Request, organization: Organization) -> Principal | None:
        return CALLERS.get(request.headers.get("authorization", ""))

    async def find(name: str) -> Organization | None:
        return {"default": DEFAULT, "acme": ACME}.get(name)

    app = FastAPI(docs_url=None, redoc_url=None)
    app.state.guard = Guard(identify, find)
    serve(app, [router])
    app.add_exception_handler(Problem, lambda request, error: render(error, "t"))  # type: ignore[arg-type]
    return TestClient(app)


def ask(method: str, path: str, caller: str = "", **options: Any) -> Any:
    return an_app(a_router()).request(method, path, headers={"Authorization": caller}, **options)


@pytest.mark.parametrize("caller", ["", "nobody", "user by password", "node"])
def test_an_open_route_is_for_everybody(caller: str) -> None:
    assert ask("GET", "/x/open", caller).status_code == 200


MATRIX = [
    ("GET", "/x/me", {
        "admin by password": 200, "user by password": 200, "permission alone": 200,
        "scope and permission": 403, "client": 403, "local": 403, "node": 403, "acme admin": 403,
        "": 401, "nobody": 401,
    }),
    ("POST", "/x/users", {
        "admin by password": 422, "user by password": 403, "scope and permission": 422, "scope alone": 403,
        "permission alone": 403, "client": 422, "local": 422, "node": 403, "acme admin": 403,
        "": 401, "nobody": 401,
    }),
    ("POST", "/t/acme/x/users", {
        "admin by password": 403, "scope and permission": 403, "client": 403, "acme admin": 422, "local": 422,
        "": 401,
    }),
    ("POST", "/t/unknown/x/users", {"admin by password": 401, "local": 401, "": 401}),
    ("GET", "/x/node", {
        "node": 200, "admin by password": 403, "local": 403, "scope and permission": 403, "client": 403,
        "": 401,
    }),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "caller", "expected"), [(m, p, c, s) for m, p, row in MATRIX for c, s in row.items()]
)
def test_who_passes_what(method: str, path: str, caller: str, expected: int) -> None:
    """The body is judged after the caller: whoever passes is told (422) that there is none."""
    options = {"content": b"not json"} if method == "POST" else {}

    assert ask(method, path, caller, **options).status_code == expected


@pytest.mark.parametrize("name", ["%E2%82%AC", "x%22,%20error=%22y", "%C3%A9", "x%20y"])
def test_an_organization_in_the_url_injects_nothing_into_the_challenge(name: str) -> None:
    """RFC 6750 §3: the realm is a quoted string of a header, which takes neither quotes nor every letter."""
    response = ask("GET", f"/t/{name}/x/me")

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="default", scope="internal_login"'


def test_a_token_without_the_scope_is_told_which_scope_to_ask_for() -> None:
    """RFC 6750 §3.1: insufficient_scope, with the scope that the call takes."""
    response = ask("POST", "/x/users", "permission alone", json={"number": 1})

    assert response.headers["www-authenticate"] == (
        'Bearer realm="default", error="insufficient_scope", scope="internal_user_mgt_list"'
    )
    assert response.json() == {
        "code": 403,
        "message": "Forbidden",
        "description": "this call takes a token with the scope internal_user_mgt_list: "
        "yours does not have it",
        "traceId": "t",
    }


def test_a_caller_without_the_permission_is_told_which_it_is() -> None:
    response = ask("POST", "/x/users", "scope alone", json={"number": 1})

    assert "www-authenticate" not in response.headers
    assert response.json() == {
        "code": 403,
        "message": "Forbidden",
        "description": f"this call takes the permission {LIST} in the organization default: "
        f"demoted does not have {LIST}",
        "traceId": "t",
    }


def test_a_caller_without_credentials_is_told_the_scope_too() -> None:
    response = ask("POST", "/t/acme/x/users", "", json={"number": 1})

    assert response.headers["www-authenticate"] == 'Bearer realm="acme", scope="internal_user_mgt_list"'
    assert response.json()["code"] == 401


def test_a_route_without_access_cannot_be_registered() -> None:
    router = GuardedRouter("/x")

    with pytest.raises(TypeError, match="access"):
        router.get("/forgotten")  # type: ignore[call-arg]


@pytest.mark.parametrize("access", [LOGGED_IN, needs(LIST, "internal_user_mgt_list")])
def test_a_route_whose_access_may_be_tightened_is_never_answered_past_the_framework(access: Access) -> None:
    async def endpoint(_request: Request) -> Response:
        return JSONResponse("plain")

    with pytest.raises(ValueError, match="cannot be plain"):
        GuardedRouter("/x").add_plain("/fast", endpoint, methods=["GET"], access=access)


def test_the_openapi_document_says_what_each_route_takes() -> None:
    document = an_app(a_router()).get("/openapi.json").json()

    taken = {"oauth2": ["internal_user_mgt_list"]}
    assert document["paths"]["/x/users"]["post"]["security"] == [taken, {"basic": []}]
    assert "/t/{organization}/x/users" not in document["paths"]  # the servers say that
    assert document["paths"]["/x/open"]["get"]["security"] == []


def test_the_openapi_document_describes_every_parameter_of_a_path() -> None:
    async def endpoint(_request: Request) -> Response:
        return JSONResponse("read by hand")

    router = a_router()
    router.add("/things/{thing}/{part}", endpoint, methods=["GET"], access=OPEN)

    paths = an_app(router).get("/openapi.json").json()["paths"]

    assert "parameters" not in paths["/x/me"]["get"]
    described = paths["/x/things/{thing}/{part}"]["get"]["parameters"]
    assert [one["name"] for one in described] == ["thing", "part"]


def test_the_openapi_document_says_what_is_not_below_an_organization() -> None:
    router = GuardedRouter("/internal", per_organization=False)

    @router.get("/whole", access=OPEN)
    async def whole() -> str:
        return "of the installation"

    app = an_app(router)

    assert app.get("/openapi.json").json()["paths"]["/internal/whole"]["get"]["servers"] == [{"url": "/"}]
    assert [app.get(path).status_code for path in ("/internal/whole", "/t/acme/internal/whole")] == [200, 404]


def test_an_operator_can_ask_for_more_and_for_nothing_less() -> None:
    router = a_router()
    more = AccessOverride(operation="POST /x/users", permissions=(ADMIN,), scopes=("internal_user_mgt_view",))

    assert router.tighten(more)

    app = an_app(router)
    for path in ("/x/users", "/t/acme/x/users"):
        for caller in ("scope and permission", "client", "permission alone", "user by password"):
            assert app.post(path, headers={"Authorization": caller}).status_code == 403, caller
    assert app.post("/x/users", headers={"Authorization": "admin by password"}).status_code == 422
    security = app.get("/openapi.json").json()["paths"]["/x/users"]["post"]["security"]
    assert security[0] == {"oauth2": ["internal_user_mgt_list", "internal_user_mgt_view"]}


@pytest.mark.parametrize(
    "operation", ["GET /x/users", "POST /x/user", "POST /x/users/", "GET /x/open", "GET /x/node"]
)
def test_an_override_that_matches_nothing_is_told_apart(operation: str) -> None:
    assert not a_router().tighten(AccessOverride(operation=operation, permissions=(ADMIN,)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"operation": "/x/users"},
        {"operation": "post /x/users"},
        {"operation": "POST /x/users", "permissions": ["/permission/admin/nothing"]},
        {"operation": "POST /x/users", "scopes": ["orders:write"]},
        {"operation": "POST /x/users", "secured": False},
    ],
)
def test_an_override_names_an_operation_and_what_exists(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AccessOverride.model_validate(wrong)
