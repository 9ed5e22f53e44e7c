"""Backends of APIs' own on a whole node: a reload costs no call, what cannot be loaded no other API."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Connection, update
from tests.http.gateway.gateway import Gateway, a_gateway
from tests.http.oauth.installation import SECRET
from tests.support.certificates import Authority
from tests.support.identity import BOX, PASSWORD
from tests.system.data_plane import Backend, DataPlane
from tests.system.node import Node, a_node, until_async

from ostiary import apim
from ostiary.apim.tables import apis
from ostiary.foundation.database import Database
from ostiary.foundation.events import Event, record
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.gateway.node.own import prepare_own
from ostiary.gateway.plan import GatewayPlan

POLICY = OutboundPolicy()


@dataclass
class Site:
    """A control plane, a node and two backends; APIs by their context."""

    gateway: Gateway
    node: Node
    haproxy: DataPlane
    backends: tuple[Backend, Backend]
    application: apim.Application
    http: httpx2.AsyncClient
    token: str
    apis: dict[str, apim.API] = field(default_factory=dict)

    @property
    def urls(self) -> tuple[str, ...]:
        """Two addresses of one service."""
        return tuple(f"http://127.0.0.1:{one.port}" for one in self.backends)

    async def publish(self, context: str, backend: apim.Backend) -> None:
        """Publish an API and subscribe to it, or change its backend."""
        here, known = self.gateway.organization_id, self.apis.get(context)
        spec = apim.APISpec(
            name=context.strip("/").title(),
            context=context,
            version="1.0.0",
            backend=backend,
            plans=("Unlimited",),
            resources=(apim.Resource("GET", "/*"),),
            state=apim.LifecycleState.PUBLISHED,
        )
        if known is None:
            made = await self.gateway.write(lambda c: apim.create_api(c, here, spec, POLICY, BOX))
            await self.gateway.a_subscription(self.application, made, "Unlimited")
        else:
            made = await self.gateway.write(lambda c: apim.change_api(c, here, known.id, spec, POLICY, BOX))
        self.apis[context] = made

    async def call(self, context: str) -> httpx2.Response:
        """Call an API."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.http.get(f"/t/my_company{context}/1.0.0/x", headers=headers)

    async def until(self, context: str, status: int, seconds: float = 5) -> None:
        """Wait until calls are answered so."""

        async def is_so() -> bool:
            return (await self.call(context)).status_code == status

        await until_async(is_so, seconds)

    def launch(self) -> None:
        """Start HAProxy on the node's own files."""
        self.haproxy.launch_for_node()

    async def ready(self) -> None:
        """Wait until HAProxy has been given everything."""

        async def answers() -> bool:
            try:
                return (await self.http.get("/-/ready")).status_code == 200
            except httpx2.HTTPError:
                return False

        await until_async(answers)


@pytest.fixture
async def site(sqlite_database: Database, scratch: Path) -> AsyncIterator[Site]:
    """Everything started, with one API that needs nothing of its own."""
    backends = Backend(), Backend()
    async with a_gateway(sqlite_database) as gateway, a_node(gateway, scratch / "data") as (node, _):
        application = await gateway.an_application("Mobile", "mobile")
        answer = await gateway.installation.token(
            "mobile", grant_type="password", username="bob", password=PASSWORD
        )
        haproxy = DataPlane(GatewayPlan(), backends[0], folder=node.settings.run)
        prepare_own(node.settings.run)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{haproxy.port}", timeout=10) as http:
            token = str(answer.json()["access_token"])
            site = Site(gateway, node, haproxy, backends, application, http, token)
            try:
                await site.publish("/plain", apim.Backend((site.urls[0],)))
                node.start()
                await node.ready()
                await asyncio.to_thread(site.launch)
                await site.ready()
                yield site
            finally:
                await asyncio.to_thread(_stop, haproxy)
                for one in backends:
                    one.stop()


def _stop(haproxy: DataPlane) -> None:
    if haproxy.process is not None and haproxy.process.poll() is None:
        haproxy.process.send_signal(signal.SIGTERM)
        haproxy.process.wait(10)


@asynccontextmanager
async def calling(site: Site, *contexts: str) -> AsyncIterator[dict[str, list[int]]]:
    """Calls all the while; the statuses, by context."""
    seen: dict[str, list[int]] = {context: [] for context in contexts}

    async def call(context: str) -> None:
        while True:
            seen[context].append((await site.call(context)).status_code)

    tasks = [asyncio.create_task(call(context)) for context in contexts]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(seen.values())


async def test_an_api_gets_and_loses_a_backend_of_its_own_under_load(site: Site):
    await site.publish("/orders", apim.Backend((site.urls[0],)))
    await site.until("/orders", 200)

    async with calling(site, "/plain", "/orders") as seen:
        await site.publish("/orders", apim.Backend(site.urls, health_check="/healthz"))
        await until_async(_reached(site.backends[1]))
        await site.publish("/orders", apim.Backend((site.urls[1],)))
        site.backends[0].calls.clear()
        await until_async(_workers(site, 1))

    assert set(seen["/plain"]) == {200}
    assert set(seen["/orders"]) == {200}


def _reached(backend: Backend) -> Callable[[], Coroutine[None, None, object]]:
    async def reached() -> bool:
        return any(call["path"] == "/x" for call in backend.calls)

    return reached


def _workers(site: Site, count: int) -> Callable[[], Coroutine[None, None, object]]:
    async def has() -> bool:
        return len(await asyncio.to_thread(site.haproxy.workers)) >= count

    return has


async def test_a_backend_that_cannot_be_loaded_is_quarantined_and_costs_no_other(site: Site):
    """A row that no use case wrote: what HAProxy cannot load is one API's trouble."""
    tls = (f"https://localhost:{site.backends[0].port}",)
    await site.publish("/broken", apim.Backend(tls, ca=Authority().ca))
    await site.gateway.write(lambda c: _spoil(c, site.apis["/broken"]))

    async with calling(site, "/plain") as seen:
        await site.publish("/orders", apim.Backend(site.urls))
        await site.until("/orders", 200)
        await until_async(_says(site, "/broken", "cannot use the backend of the API as it is configured"))

    assert set(seen["/plain"]) == {200}
    assert "backend_quarantined" in site.node.log.read_text()
    await site.publish("/broken", apim.Backend(site.urls))
    await site.until("/broken", 200)


def _spoil(connection: Connection, api: apim.API) -> None:
    value = {"production": list(api.backend.production), "sandbox": [], "ca": "no certificate"}
    connection.execute(update(apis).where(apis.c.id == api.id).values(backend=value))
    record(connection, Event("api", api.organization_id, api.id))


def _says(site: Site, context: str, text: str) -> Callable[[], Coroutine[None, None, object]]:
    async def says() -> bool:
        return text in (await site.call(context)).text

    return says


async def test_a_revocation_does_not_wait_for_a_reload(site: Site):
    for number in range(3):
        await site.publish(f"/own-{number}", apim.Backend(site.urls))

    await site.gateway.installation.http.post("/revoke", data={"token": site.token}, auth=("mobile", SECRET))

    await site.until("/plain", 401, seconds=1)


async def test_a_node_that_starts_again_has_its_own_backends_at_once(site: Site):
    await site.publish("/orders", apim.Backend(site.urls))
    await site.until("/orders", 200)
    site.node.kill()
    await asyncio.to_thread(_stop, site.haproxy)
    prepare_own(site.node.settings.run)

    site.node.start()
    await site.node.ready()
    await asyncio.to_thread(site.launch)
    await site.ready()

    assert (await site.call("/orders")).status_code == 200


async def test_an_agent_that_starts_again_takes_over_what_runs(site: Site):
    await site.publish("/orders", apim.Backend(site.urls))
    await site.until("/orders", 200)
    site.node.kill()
    await site.publish("/orders", replace(site.apis["/orders"].backend, production=site.urls[:1]))

    site.node.start()
    await site.node.ready()
    site.backends[1].calls.clear()

    await site.until("/orders", 200)
