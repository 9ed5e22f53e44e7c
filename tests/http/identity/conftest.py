"""The internal REST API of identity on a real app and database, called by an administrator."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response
from tests.support.identity import BOX, World, a_world, no_clients

from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem, render
from ostiary.identity.endpoints import routers
from ostiary.organizations import Organization, find
from ostiary.permissions import ADMIN, Guard, Principal, PrincipalKind, serve


@pytest.fixture
async def world(sqlite_database: Database) -> AsyncIterator[World]:
    made = await a_world(sqlite_database)
    yield made
    await made.authentication.close()


@pytest.fixture
async def api(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    """Calls `/t/my_company/api/identity/v1` as its administrator; without `X-Caller` as nobody."""
    transport = httpx2.ASGITransport(an_app(world))
    async with httpx2.AsyncClient(
        transport=transport,
        base_url="http://test/t/my_company/api/identity/v1",
        headers={"X-Caller": "admin"},
    ) as client:
        yield client


def an_app(world: World) -> FastAPI:
    async def identify(request: Request, organization: Organization) -> Principal | None:
        caller = request.headers.get("x-caller")
        held = frozenset({ADMIN}) if caller == "admin" else frozenset()
        who = Principal(PrincipalKind.USER, "caller", world.organization.id, "subject", permissions=held)
        return None if caller is None else who

    async def find_organization(name: str) -> Organization | None:
        return await world.database.read(lambda c: find(c, name))

    async def problem(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return render(error, "trace")

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return render(Problem(400, "400", "Bad Request", str(error.errors()[0]["loc"])), "trace")

    app = FastAPI()
    app.state.guard = Guard(identify, find_organization)
    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    base = "https://ostiary.example"
    serve(app, routers(world.database, BOX, world.authentication, base, world.clock, no_clients))
    return app
