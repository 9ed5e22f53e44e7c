"""An installation whose gateway endpoints are reachable, with one enrolled node and one published API."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
from pydantic import SecretStr
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.types import ASGIApp
from tests.http.oauth.installation import PUBLIC_URL, Installation, an_app_of, an_installation
from tests.support.identity import BOX

from ostiary import apim
from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import Database
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.gateway import GatewaySettings, NodeRecord, ensure_embedded_node, find_node_by_credential
from ostiary.gateway.endpoints import routers
from ostiary.oauth.endpoints import routers as oauth_routers
from ostiary.organizations import Organization, find
from ostiary.permissions import Guard, Principal, PrincipalKind

CREDENTIAL = "credential-of-the-node"
Result = TypeVar("Result")


@dataclass
class Gateway:
    """The control plane as a gateway node sees it; `installation` is everything else."""

    installation: Installation
    app: ASGIApp
    node: NodeRecord
    http: httpx2.AsyncClient

    @property
    def organization_id(self) -> str:
        """Where the API is."""
        return self.installation.organization.id

    async def write(self, unit: Callable[[Connection], Result]) -> Result:
        """Change something, as another worker would."""
        return await self.installation.database.write(unit)

    async def plan(self, after: int = 0, wait: int = 0) -> httpx2.Response:
        """Ask for the plan."""
        return await self.http.get("/internal/gateway/v1/plan", params={"after": after, "wait": wait})

    async def number(self) -> int:
        """The plan's number now."""
        return int((await self.plan()).json()["number"])

    async def put_keys(self, *keys: dict[str, Any]) -> httpx2.Response:
        """Register the node's keys."""
        return await self.http.put("/internal/gateway/v1/node/keys", json={"keys": list(keys)})

    async def introspect(self, token: str) -> dict[str, Any]:
        """Ask about a token."""
        answer = await self.http.post("/internal/gateway/v1/introspect", json={"token": token})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def an_api(
        self, context: str = "/orders", backend: str = "http://127.0.0.1:9701", **more: Any
    ) -> apim.API:
        """A published API with the plans Gold and Unlimited."""
        spec = apim.APISpec(
            name=context.strip("/").title(),
            context=context,
            version="1.0.0",
            backend=apim.Backend((backend,)),
            plans=("Gold", "Unlimited"),
            resources=(apim.Resource("GET", "/{id}"), apim.Resource("POST", "/")),
            state=apim.LifecycleState.PUBLISHED,
            **more,
        )
        return await self.write(lambda c: apim.create_api(c, self.organization_id, spec, OutboundPolicy()))

    async def an_application(self, name: str, client_id: str) -> apim.Application:
        """An application of bob with one client."""
        await self.installation.a_client(client_id)

        def unit(connection: Connection) -> apim.Application:
            here = self.organization_id
            application = apim.create_application(connection, here, apim.ApplicationSpec(name, "bob"))
            apim.add_keys(connection, here, application.id, apim.KeyType.PRODUCTION, client_id)
            return application

        return await self.write(unit)

    async def a_subscription(
        self, application: apim.Application, api: apim.API, plan: str = "Gold"
    ) -> apim.Subscription:
        """A subscription."""
        here = self.organization_id
        return await self.write(lambda c: apim.subscribe(c, here, application.id, api.id, plan))


@asynccontextmanager
async def a_gateway(database: Database, **settings: Any) -> AsyncIterator[Gateway]:
    """The slices `oauth` and `gateway` behind the real guard; `bob` is a user."""
    async with an_installation(database) as installation:
        await installation.a_user()
        own = routers(database, BOX, GatewaySettings(**settings), PUBLIC_URL, installation.clock)
        guard = Guard(_identify(database), _finder(database))
        app = an_app_of([*oauth_routers(installation.server), *own], guard)
        node = await database.write(lambda c: ensure_embedded_node(c, SecretStr(CREDENTIAL), BOX, utc_now()))
        headers = {"Authorization": f"Bearer {CREDENTIAL}"}
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=headers) as http:
            yield Gateway(installation, app, node, http)


def _identify(database: Database) -> Callable[[Request, Organization], Any]:
    async def identify(request: Request, _organization: Organization) -> Principal | None:
        given = SecretStr(request.headers.get("authorization", "").partition(" ")[2])
        node = await database.read(lambda c: find_node_by_credential(c, given, BOX))
        return None if node is None else Principal(PrincipalKind.NODE, node.id)

    return identify


def _finder(database: Database) -> Callable[[str], Any]:
    async def find_organization(name: str) -> Organization | None:
        return await database.read(lambda c: find(c, name))

    return find_organization
