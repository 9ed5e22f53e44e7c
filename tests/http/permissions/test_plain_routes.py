"""Plain routes: declared and guarded like every other, answered without the framework."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ostiary.foundation.identifiers import new_id
from ostiary.organizations import Organization
from ostiary.permissions import (
    GATEWAY_NODE,
    OPEN,
    Guard,
    GuardedRouter,
    PlainRoutes,
    Principal,
    PrincipalKind,
    serve,
)


class Passed:
    """The framework, counting what came to it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.paths: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        await self.app(scope, receive, send)


async def echo(request: Request) -> Response:
    """Say what arrived."""
    body = (await request.body()).decode()
    return JSONResponse({"organization": request.path_params.get("organization"), "body": body})


async def identify(request: Request, _organization: Organization) -> Principal | None:
    is_node = request.headers.get("authorization") == "Bearer node"
    return Principal(PrincipalKind.NODE, "node") if is_node else None


async def find_organization(name: str) -> Organization | None:
    return Organization(new_id(), name, name) if name in ("default", "acme") else None


@pytest.fixture
def framework() -> Passed:
    return Passed(FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False))


@pytest.fixture
async def http(framework: Passed) -> AsyncIterator[httpx2.AsyncClient]:
    routers = [GuardedRouter(), GuardedRouter("/internal", per_organization=False)]
    routers[0].add_plain("/open", echo, methods=["POST"], access=OPEN)
    routers[1].add_plain("/asked", echo, methods=["POST"], access=GATEWAY_NODE)
    guard = Guard(identify, find_organization)
    app: Any = framework.app
    app.state.guard = guard
    serve(app, routers)
    transport = httpx2.ASGITransport(app=PlainRoutes(framework, guard, routers))
    async with httpx2.AsyncClient(transport=transport, base_url="https://door.example") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "organization"), [("/open", None), ("/t/acme/open", "acme"), ("/t/no-such/open", "no-such")]
)
async def test_a_plain_route_is_answered_without_the_framework(
    http: httpx2.AsyncClient, framework: Passed, path: str, organization: str | None
) -> None:
    answer = await http.post(path, content=b"hello")

    assert answer.json() == {"organization": organization, "body": "hello"}
    assert framework.paths == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/open", 405),
        ("POST", "/open/", 404),
        ("POST", "/OPEN", 404),
        ("POST", "/t//open", 404),
        ("POST", "/t/open", 404),
        ("POST", "/t/acme/x/open", 404),
        ("POST", "/t/acme/internal/asked", 404),
        ("POST", "/t/acme", 404),
    ],
)
async def test_everything_else_goes_on(
    http: httpx2.AsyncClient, framework: Passed, method: str, path: str, status: int
) -> None:
    answer = await http.request(method, path)

    assert (answer.status_code, framework.paths) == (status, [path])


@pytest.mark.parametrize(
    ("authorization", "status"), [("Bearer node", 200), ("Bearer other", 401), ("", 401)]
)
async def test_the_guard_is_asked_as_everywhere(
    http: httpx2.AsyncClient, framework: Passed, authorization: str, status: int
) -> None:
    answer = await http.post("/internal/asked", headers={"Authorization": authorization})

    assert (answer.status_code, framework.paths) == (status, [])


async def test_both_ways_answer_alike(http: httpx2.AsyncClient, framework: Passed) -> None:
    through_the_framework = httpx2.ASGITransport(app=framework)
    async with httpx2.AsyncClient(transport=through_the_framework, base_url="https://door.example") as other:
        for path, headers in (
            ("/open", {}),
            ("/t/acme/open", {}),
            ("/internal/asked", {"Authorization": "Bearer node"}),
        ):
            short, long = [await one.post(path, content=b"x", headers=headers) for one in (http, other)]
            assert (short.status_code, short.json()) == (long.status_code, long.json())

    assert len(framework.paths) == 3
