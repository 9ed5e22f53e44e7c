"""A whole gateway node with what is around it: control plane, agent, HAProxy and a backend that echoes."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx2
from tests.http.gateway.gateway import Gateway, a_gateway
from tests.support.identity import PASSWORD
from tests.system.data_plane import Backend, DataPlane
from tests.system.node import Node, Served, a_node, until_async

from ostiary import apim
from ostiary.apim.repository.usage import UsageQuery
from ostiary.apim.usage import read_usage
from ostiary.foundation.database import Database
from ostiary.gateway import prepare_own
from ostiary.gateway.plan import GatewayPlan


@dataclass
class Site:
    """A control plane, a node and a backend that says what reached it."""

    gateway: Gateway
    node: Node
    control_plane: Served
    haproxy: DataPlane
    backend: Backend
    api: apim.API
    subscription: apim.Subscription
    http: httpx2.AsyncClient

    async def token(self, client: str = "mobile", **form: str) -> str:
        """A token, of bob unless the form says otherwise."""
        asked = {"grant_type": "password", "username": "bob", "password": PASSWORD, **form}
        answer = await self.gateway.installation.token(client, **asked)
        return str(answer.json()["access_token"])

    async def call(self, token: str, path: str = "/t/my_company/orders/1.0.0/1") -> httpx2.Response:
        """Call the API."""
        return await self.http.get(path, headers={"Authorization": f"Bearer {token}"})

    async def status(self, token: str, path: str = "/t/my_company/orders/1.0.0/1") -> int:
        """Call the API; the status alone."""
        return (await self.call(token, path)).status_code

    async def within_a_second(self, token: str, expected: int) -> None:
        """Wait for a status; a second after a commit it must be there."""

        async def is_there() -> bool:
            return await self.status(token) == expected

        await until_async(is_there, 1)

    async def counted(self) -> dict[str, int]:
        """The calls the control plane knows of, by subscription."""
        query, here = UsageQuery(0, 10**9, ("subscription",)), self.gateway.organization_id
        rows, _ = await self.gateway.installation.database.read(lambda c: read_usage(c, here, query))
        return {row.of["subscription_id"]: row.calls for row in rows}

    def launch(self) -> None:
        """Start HAProxy on the node's own files."""
        prepare_own(self.node.settings.run)
        self.haproxy.launch_for_node()

    async def ready(self) -> None:
        """Wait until HAProxy has been given everything."""

        async def answers() -> bool:
            try:
                return (await self.http.get("/-/ready")).status_code == 200
            except httpx2.HTTPError:
                return False

        await until_async(answers)


@asynccontextmanager
async def a_site(database: Database, scratch: Path) -> AsyncIterator[Site]:
    """Everything started in the product's order: workers, agent, HAProxy."""
    backend = Backend()
    async with (
        a_gateway(database) as gateway,
        a_node(gateway, scratch / "data", usage_every=timedelta(seconds=0.1)) as (node, served),
    ):
        api = await gateway.an_api(backend=f"http://127.0.0.1:{backend.port}")
        application = await gateway.an_application("Mobile", "mobile")
        desk = await gateway.an_application("Desk", "desk")
        await gateway.installation.a_client("desk", token_format="opaque")
        await gateway.a_subscription(desk, api, "Unlimited")
        subscription = await gateway.a_subscription(application, api)
        node.start()
        await node.ready()
        haproxy = DataPlane(GatewayPlan(), backend, folder=node.settings.run)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{haproxy.port}", timeout=10) as http:
            site = Site(gateway, node, served, haproxy, backend, api, subscription, http)
            try:
                await asyncio.to_thread(site.launch)
                await site.ready()
                yield site
            finally:
                await asyncio.to_thread(_stop, haproxy)
                backend.stop()


def _stop(haproxy: DataPlane) -> None:
    if haproxy.process is not None and haproxy.process.poll() is None:
        haproxy.process.send_signal(signal.SIGTERM)
        haproxy.process.wait(10)
