"""Builders for authorization server tests: an installation with clients, users and a standing clock."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp
from tests.support.identity import BOX, PASSWORD, AdvancingClock, World, a_world

from ostiary.foundation.database import Database
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.problem import Problem, render
from ostiary.foundation.web import RequestId, request_id
from ostiary.oauth import (
    AuthorizationServer,
    ClientSpec,
    ScopeSpec,
    TokenSettings,
    authorization_server,
    put_client,
    put_scope,
)
from ostiary.oauth.endpoints import routers
from ostiary.organizations import Organization, find, put
from ostiary.permissions import (
    ADMIN,
    Guard,
    GuardedRouter,
    MemberName,
    PlainRoutes,
    Principal,
    PrincipalKind,
    Role,
    put_role,
    serve,
)

PUBLIC_URL = "https://door.example"
NOON = datetime(2031, 5, 1, 12, 0, tzinfo=UTC)
ALL_GRANTS = frozenset({"password", "client_credentials", "refresh_token"})
SECRET = "s3cret-of-the-client"


@dataclass
class Installation:
    """A real app on a real database; `http` talks to it."""

    world: World
    clock: AdvancingClock
    server: AuthorizationServer
    http: httpx2.AsyncClient

    @property
    def database(self) -> Database:
        """Where everything is."""
        return self.world.database

    @property
    def organization(self) -> Organization:
        """The organization most tests play in."""
        return self.world.organization

    async def a_client(
        self, client_id: str = "mobile", organization: Organization | None = None, **spec: Any
    ) -> str:
        """A client with all grants, unless said otherwise; its secret is `SECRET`."""
        given = {"grant_types": ALL_GRANTS, "secret": SecretStr(SECRET), **spec}
        if given.get("is_public"):
            given["secret"] = None
        wanted = ClientSpec(client_id=client_id, **given)
        here = (organization or self.organization).id
        await self.database.write(lambda c: put_client(c, BOX, here, wanted, self.clock()))
        return client_id

    async def a_user(self, username: str = "bob") -> str:
        """A user of PRIMARY whose password is `PASSWORD`."""
        await self.world.user(username)
        return username

    async def a_scope(self, name: str, *, roles: Iterable[str] = (), everyone: bool = False) -> str:
        """A registered scope."""
        spec = ScopeSpec(name, roles=frozenset(roles), everyone=everyone)
        await self.database.write(lambda c: put_scope(c, self.organization.id, spec))
        return name

    async def a_role(self, name: str, *members: MemberName) -> Role:
        """A role with these members."""
        role = Role(new_id(), self.organization.id, name, members=frozenset(members))
        await self.database.write(lambda c: put_role(c, role))
        return role

    async def token(
        self,
        by: str | None = "mobile",
        *,
        secret: str = SECRET,
        path: str = "/oauth2/token",
        **form: str,
    ) -> httpx2.Response:
        """POST a form to the token endpoint, the client authenticated by Basic."""
        auth = None if by is None else (by, secret)
        return await self.http.post(path, data=form, auth=auth)

    async def password_token(self, username: str = "bob", by: str = "mobile", **form: str) -> dict[str, Any]:
        """The answer to a password grant that succeeds."""
        answer = await self.token(by, grant_type="password", username=username, password=PASSWORD, **form)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def refresh(self, refresh_token: str, by: str = "mobile", **form: str) -> httpx2.Response:
        """POST a refresh token."""
        return await self.token(by, grant_type="refresh_token", refresh_token=refresh_token, **form)

    async def introspect(self, token: str, by: str = "mobile") -> dict[str, Any]:
        """What introspection says."""
        answer = await self.http.post("/oauth2/introspect", data={"token": token}, auth=(by, SECRET))
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


def without_nodes(_connection: Connection, _kid: str) -> bool:
    """No gateway node is enrolled, so none has still to hear of a key."""
    return True


@asynccontextmanager
async def an_installation(database: Database, **settings: Any) -> AsyncIterator[Installation]:
    """The organizations `my_company` and `default`; the caller of guarded endpoints is an administrator."""
    clock = AdvancingClock(NOON)
    world = await a_world(database, clock=clock)
    await database.write(lambda c: put(c, Organization(new_id(), "default", "Default")))
    server = authorization_server(
        database,
        BOX,
        world.authentication,
        TokenSettings(**settings),
        PUBLIC_URL,
        acknowledged=without_nodes,
        clock=clock,
    )
    transport = httpx2.ASGITransport(app=an_app(server))
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        yield Installation(world, clock, server, http)
    await world.authentication.close()


@asynccontextmanager
async def a_neighbour(of: Installation) -> AsyncIterator[Installation]:
    """The same installation in another worker: connections and memory of its own, the rows shared."""
    database = Database.open(of.database.url)
    server = authorization_server(
        database,
        BOX,
        of.world.authentication,
        of.server.settings,
        PUBLIC_URL,
        acknowledged=without_nodes,
        clock=of.clock,
    )
    transport = httpx2.ASGITransport(app=an_app(server))
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        yield Installation(of.world, of.clock, server, http)
    await database.close()


def an_app(server: AuthorizationServer) -> ASGIApp:
    """The slice's routes behind the real guard. `X-Caller: admin` makes an administrator."""

    async def identify(request: Request, organization: Organization) -> Principal | None:
        if request.headers.get("x-caller") != "admin":
            return None
        return Principal(PrincipalKind.USER, "admin", organization.id, "s", permissions=frozenset({ADMIN}))

    async def find_organization(name: str) -> Organization | None:
        return await server.database.read(lambda c: find(c, name))

    return an_app_of(routers(server), Guard(identify, find_organization))


def an_app_of(guarded: Sequence[GuardedRouter], guard: Guard) -> ASGIApp:
    """These routes behind this guard, plain ones answered as in the product."""

    async def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return render(error, request_id(request))

    app = FastAPI(docs_url=None, redoc_url=None)
    app.state.guard = guard
    app.add_exception_handler(Problem, problem)
    serve(app, guarded)
    return RequestId(PlainRoutes(app, guard, guarded))
