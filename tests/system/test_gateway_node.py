"""A whole gateway node: agent and HAProxy as processes, calls through the listener."""

import asyncio
import base64
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import Connection
from tests.http.oauth.installation import SECRET
from tests.system.administrator import stored_decision
from tests.system.data_plane import Backend
from tests.system.node import until, until_async
from tests.system.site import Site, a_site

from ostiary import apim
from ostiary.foundation.database import Database
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.gateway.node.runtime import HAProxyRuntime, RuntimeUnavailable
from ostiary.organizations import narrow


@pytest.fixture
async def site(sqlite_database: Database, scratch: Path) -> AsyncIterator[Site]:
    async with a_site(sqlite_database, scratch) as started:
        yield started


@pytest.mark.parametrize("client", ["mobile", "desk"])
async def test_a_call_reaches_the_backend_with_a_signed_identity(site: Site, client: str):
    answer = await site.call(await site.token(client))

    assert answer.status_code == 200
    headers = dict(answer.json()["headers"])
    assert "authorization" not in headers
    keys = KeySet.import_key_set((await site.gateway.http.get("/t/my_company/gateway/jwks")).json())
    assertion = jwt.decode(headers["x-jwt-assertion"], keys, algorithms=["ES256"])
    assert assertion.claims["http://wso2.org/claims/enduser"] == "bob@my_company"


async def test_a_second_call_asks_nobody(site: Site):
    token = await site.token("desk")
    assert await site.status(token) == 200
    site.control_plane.requests.clear()

    assert [await site.status(token) for _ in range(20)] == [200] * 20
    assert not [path for path in site.control_plane.requests if "introspect" in path]


@pytest.mark.parametrize("client", ["mobile", "desk"])
async def test_a_revoked_token_is_refused_within_a_second_on_an_open_connection(site: Site, client: str):
    token, other = await site.token(client), await site.token(client)
    assert await site.status(token) == await site.status(other) == 200

    await site.gateway.installation.http.post("/revoke", data={"token": token}, auth=(client, SECRET))

    await site.within_a_second(token, 401)
    assert await site.status(other) == 200


async def test_an_unsubscribed_application_is_refused_within_a_second(site: Site):
    token, others = await site.token(), await site.token("desk")
    assert await site.status(token) == await site.status(others) == 200
    here = site.gateway.organization_id

    await site.gateway.write(lambda c: apim.unsubscribe(c, here, site.subscription.id))

    await site.within_a_second(token, 403)
    assert await site.status(others) == 200


async def test_narrowing_a_subject_refuses_its_tokens_within_a_second(site: Site):
    token = await site.token()
    assert await site.status(token) == 200
    subject, here = subject_of(token), site.gateway.organization_id

    await site.gateway.write(lambda c: narrow(c, here, "subject", subject))

    await site.within_a_second(token, 401)
    assert await site.status(await site.token()) == 200


def subject_of(token: str) -> str:
    """The claim alone is wanted."""
    payload = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])


async def test_an_api_published_now_is_served_within_a_second(site: Site):
    api = await site.gateway.an_api("/invoices", f"http://127.0.0.1:{site.backend.port}")
    application = await site.gateway.an_application("Web", "web")
    await site.gateway.a_subscription(application, api)
    token = await site.token("web")

    async def served() -> bool:
        return await site.status(token, "/t/my_company/invoices/1.0.0/7") == 200

    await until_async(served, 1)


async def test_a_change_of_address_and_a_retirement_need_no_reload(site: Site):
    token, elsewhere = await site.token(), Backend()
    try:
        assert await site.status(token) == 200
        here = site.gateway.organization_id
        spec = apim.APISpec(
            "Orders",
            "/orders",
            "1.0.0",
            apim.Backend((f"http://127.0.0.1:{elsewhere.port}",)),
            ("Gold", "Unlimited"),
            (apim.Resource("GET", "/{id}"),),
        )
        await site.gateway.write(lambda c: apim.change_api(c, here, site.api.id, spec, OutboundPolicy()))

        async def moved() -> bool:
            return await site.status(token) == 200 and bool(elsewhere.calls)

        await until_async(moved, 1)
        for state in (apim.LifecycleState.DEPRECATED, apim.LifecycleState.RETIRED):
            await site.gateway.write(lambda c, to=state: apim.change_state(c, here, site.api.id, to))
        await site.within_a_second(token, 404)
    finally:
        elsewhere.stop()


async def test_a_killed_haproxy_serves_again_when_it_is_started_again(site: Site):
    token = await site.token()
    assert await site.status(token) == 200
    process = site.haproxy.process
    assert process is not None
    process.kill()
    await asyncio.to_thread(process.wait)
    await until_async(lambda: _nobody_listens(site))
    here = site.gateway.organization_id
    await site.gateway.write(lambda c: narrow(c, here, "client", "mobile"))

    await asyncio.to_thread(site.launch)
    await site.ready()

    assert await site.status(token) == 401
    assert await site.status(await site.token()) == 200


async def _nobody_listens(site: Site) -> bool:
    try:
        await site.http.get("/-/ready")
    except httpx2.ConnectError:
        return True
    except httpx2.HTTPError:
        return False
    return False


async def test_what_another_agent_stored_does_not_outlive_it(site: Site):
    """Revoked while no agent was there: the next one knows none of the old decisions, so they go."""
    token = await site.token()
    assert await site.status(token) == 200
    site.node.kill()
    await site.gateway.installation.http.post("/revoke", data={"token": token}, auth=("mobile", SECRET))

    site.node.start()
    await site.node.ready()

    await site.within_a_second(token, 401)


async def test_while_the_agent_is_away_stored_decisions_hold_and_misses_are_503(site: Site):
    known, unknown = await site.token(), await site.token()
    assert await site.status(known) == 200
    await until(lambda: bool(stored_decision(site.node.settings.run.parent, site.api.id, known)))
    site.node.kill()

    assert await site.status(known) == 200
    answer = await site.call(unknown)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


async def test_a_hung_agent_is_a_503_in_time(site: Site):
    token = await site.token()
    assert site.node.process is not None
    os.kill(site.node.process.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert await site.status(token) == 503
        assert time.monotonic() - started < 3
    finally:
        os.kill(site.node.process.pid, signal.SIGCONT)
    assert await site.status(token) == 200


async def test_a_reload_costs_no_call_and_no_decision(site: Site):
    """The new worker is supplied with everything; revocations reach old and new workers alike."""
    token, revoked = await site.token("desk"), await site.token("desk")
    assert await site.status(token) == await site.status(revoked) == 200
    runtime = HAProxyRuntime(site.node.settings.master_socket)
    site.control_plane.requests.clear()
    statuses: list[int] = []
    try:
        before = {worker.pid for worker in await runtime.workers()}
        reloading = asyncio.create_task(runtime.reload())
        while not reloading.done():
            statuses.append(await site.status(token))
        await reloading

        async def renewed() -> bool:
            try:
                workers = await runtime.workers()
            except RuntimeUnavailable:
                return False
            return any(not worker.old and worker.pid not in before for worker in workers)

        await until_async(renewed)
        statuses += [await site.status(token) for _ in range(20)]
    finally:
        runtime.close()
    assert set(statuses) == {200}
    assert not [path for path in site.control_plane.requests if "introspect" in path]

    await site.gateway.installation.http.post("/revoke", data={"token": revoked}, auth=("desk", SECRET))
    await site.within_a_second(revoked, 401)


async def test_what_was_called_is_counted_once_whatever_is_restarted(site: Site):
    """Agent stopped and killed, control plane away, HAProxy reloaded and stopped: each call is counted."""
    token = await site.token()

    async def calls(number: int) -> None:
        assert [await site.status(token) for _ in range(number)] == [200] * number

    async def all_counted(number: int) -> None:
        async def are() -> bool:
            return await site.counted() == {site.subscription.id: number}

        await until_async(are)

    await calls(3)
    await all_counted(3)
    await asyncio.to_thread(site.node.stop)
    await calls(2)
    site.node.start()
    await site.node.ready()
    await site.control_plane.stop()
    await calls(4)
    await asyncio.to_thread(site.haproxy.reload)
    await site.ready()
    await until(lambda: site.node.unsent() >= 4)  # a worker that stops waits for the agent alone
    await calls(5)
    site.node.kill()
    await site.control_plane.start()
    site.node.start()
    await all_counted(14)
    await calls(6)
    assert site.haproxy.process is not None
    site.haproxy.process.send_signal(signal.SIGUSR1)
    await site.http.aclose()
    await all_counted(20)


async def test_long_windows_survive_the_end_of_haproxy(site: Site):
    """A killed HAProxy has forgotten everything; the agent tells the next one what the month had used up."""
    here = site.gateway.organization_id

    def limited(connection: Connection) -> None:
        apim.put_plan(connection, here, "Seven", 7, apim.Period.MONTH)
        api = apim.get_api(connection, here, site.api.id)
        plans = (*api.plans, "Seven")
        spec = apim.APISpec(api.name, api.context, api.version, api.backend, plans, api.resources, api.state)
        apim.change_api(connection, here, api.id, spec, OutboundPolicy())
        apim.change_subscription(connection, here, site.subscription.id, "Seven", None)

    await site.gateway.write(limited)
    token = await site.token()

    await site.within_a_second(token, 200)
    assert [await site.status(token) for _ in range(4)] == [200] * 4
    await until(lambda: site.node.kept() == 5)
    process = site.haproxy.process
    assert process is not None
    process.kill()
    await asyncio.to_thread(process.wait)
    await until_async(lambda: _nobody_listens(site))
    await asyncio.to_thread(site.launch)
    await site.ready()

    assert [await site.status(token) for _ in range(4)] == [200, 200, 429, 429]
