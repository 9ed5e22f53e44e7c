"""The agent as a process: readiness, misses, a second to take effect, and a control plane that goes away."""

import asyncio
import json
import resource
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from tests.http.gateway.gateway import CREDENTIAL, Gateway, a_gateway
from tests.http.oauth.installation import SECRET
from tests.support.identity import PASSWORD
from tests.system.node import ALL_MAPS, Node, Served, a_node, until, until_async

from ostiary import apim
from ostiary.foundation.database import Database
from ostiary.gateway import rotate_node_keys
from ostiary.gateway.node.keys import generate
from ostiary.gateway.node.store import NodeStore
from ostiary.oauth import ScopeSpec, put_scope
from ostiary.organizations import narrow

pytestmark = pytest.mark.alone


@dataclass
class Site:
    """A node over a control plane with one API that two applications may call."""

    gateway: Gateway
    node: Node
    control_plane: Served
    api: apim.API
    subscription: apim.Subscription

    async def token(self, client: str = "mobile", **form: str) -> str:
        """A token of bob."""
        answer = await self.gateway.installation.token(
            client, grant_type="password", username="bob", password=PASSWORD, **form
        )
        return str(answer.json()["access_token"])

    async def decide(self, token: str) -> str:
        """What the agent answers about this token at the API."""
        return await self.node.decide(self.api.id, token)

    async def refused(self, token: str) -> bool:
        """Whether the token is invalid by now."""
        return await self.decide(token) == "refuse invalid_token"


@pytest.fixture
async def site(sqlite_database: Database, scratch: Path) -> AsyncIterator[Site]:
    """Started and ready. `mobile` has JWTs, `desk` opaque tokens; both are subscribed."""
    async with a_gateway(sqlite_database) as gateway, a_node(gateway, scratch / "data") as (node, served):
        api = await gateway.an_api()
        mobile = await gateway.an_application("Mobile", "mobile")
        desk = await gateway.an_application("Desk", "desk")
        await gateway.installation.a_client("desk", token_format="opaque")
        await gateway.a_subscription(desk, api)
        subscription = await gateway.a_subscription(mobile, api)
        node.start()
        await node.ready()
        yield Site(gateway, node, served, api, subscription)


async def test_a_ready_agent_has_written_every_map_and_published_its_key(site: Site):
    assert site.node.maps() == ALL_MAPS
    keys = (await site.gateway.http.get("/gateway/jwks")).json()["keys"]
    assert len(keys) == 1


@pytest.mark.parametrize("client", ["mobile", "desk"])
async def test_a_good_token_is_granted_with_an_assertion_that_backends_can_verify(site: Site, client: str):
    answer = await site.node.ask(site.api.id, await site.token(client))

    verdict, _, decision = answer.partition("\n")
    assert verdict == "grant"
    keys = KeySet.import_key_set((await site.gateway.http.get("/t/my_company/gateway/jwks")).json())
    assertion = jwt.decode(decision.rpartition("|")[2], keys, algorithms=["ES256"])
    assert assertion.header["typ"] == "backend+jwt"
    assert assertion.claims["aud"] == "my_company/orders/1.0.0"
    assert assertion.claims["http://wso2.org/claims/enduser"] == "bob@my_company"
    assert 0 < assertion.claims["exp"] - time.time() <= 960


async def test_neither_garbage_nor_the_assertion_itself_is_a_token(site: Site):
    answer = await site.node.ask(site.api.id, await site.token())

    for text in ("", "nonsense", "a.b.c", "x" * 40, answer.rpartition("|")[2]):
        assert await site.decide(text) == "refuse invalid_token"


@pytest.mark.parametrize("client", ["mobile", "desk"])
async def test_a_revoked_token_is_refused_within_a_second(site: Site, client: str):
    token, other = await site.token(client), await site.token(client)
    assert await site.decide(token) == await site.decide(other) == "grant"

    await site.gateway.installation.http.post("/revoke", data={"token": token}, auth=(client, SECRET))

    revoked = time.monotonic()
    await until_async(lambda: site.refused(token), 1)
    assert time.monotonic() - revoked < 1
    assert await site.decide(other) == "grant"


async def test_an_unsubscribed_application_is_refused_within_a_second(site: Site):
    token, others = await site.token(), await site.token("desk")
    assert await site.decide(token) == await site.decide(others) == "grant"
    here = site.gateway.organization_id
    await site.gateway.write(lambda c: apim.unsubscribe(c, here, site.subscription.id))

    async def is_refused() -> bool:
        return await site.decide(token) == "refuse not_subscribed"

    await until_async(is_refused, 1)
    assert await site.decide(others) == "grant"


async def test_tokens_with_a_scope_that_was_narrowed_are_refused_within_a_second(site: Site):
    here = site.gateway.organization_id
    await site.gateway.write(lambda c: put_scope(c, here, ScopeSpec("orders:write", everyone=True)))
    with_scope, without = await site.token(scope="orders:write"), await site.token()
    assert await site.decide(with_scope) == await site.decide(without) == "grant"

    await site.gateway.write(lambda c: narrow(c, here, "scope", "orders:write"))

    await until_async(lambda: site.refused(with_scope), 1)
    assert await site.decide(without) == "grant"


async def test_what_was_just_made_works_at_the_first_call(site: Site):
    """The plan is asked for once more before anything is refused for being unknown."""
    api = await site.gateway.an_api("/invoices")
    application = await site.gateway.an_application("Web", "web")
    await site.gateway.a_subscription(application, api)
    token = await site.token("web")

    assert await site.node.decide(api.id, token) == "grant"


async def test_many_misses_of_one_credential_are_one_question(site: Site):
    token = await site.token("desk")
    site.control_plane.requests.clear()

    answers = await asyncio.gather(*(site.decide(token) for _ in range(50)))

    assert set(answers) == {"grant"}
    assert site.control_plane.requests.count("/internal/gateway/v1/introspect") == 1


async def test_without_a_control_plane_only_unseen_opaque_tokens_wait(site: Site):
    jwt_token, opaque, unseen = await site.token(), await site.token("desk"), await site.token("desk")
    assert await site.decide(opaque) == "grant"
    await site.control_plane.stop()

    assert await site.decide(jwt_token) == "grant"
    assert await site.decide(opaque) == "grant"
    assert await site.decide(unseen) == "refuse unavailable"

    await site.control_plane.start()
    assert await site.decide(unseen) == "grant"


async def test_an_agent_that_starts_without_a_control_plane_decides_by_its_last_plan(site: Site):
    token = await site.token()
    await site.control_plane.stop()
    site.node.kill()

    site.node.start()
    await site.node.ready()

    assert await site.decide(token) == "grant"
    assert site.node.maps() == ALL_MAPS


async def test_a_change_made_while_the_control_plane_was_away_arrives_when_it_is_back(site: Site):
    token = await site.token()
    assert await site.decide(token) == "grant"
    await site.control_plane.stop()
    here = site.gateway.organization_id
    await site.gateway.write(lambda c: narrow(c, here, "client", "mobile"))

    await site.control_plane.start()

    await until_async(lambda: site.refused(token), 3)


async def test_a_damaged_store_is_fetched_again(site: Site):
    token = await site.token()
    site.node.kill()
    store = site.node.settings.own / "node.db"
    for file in store.parent.glob("node.db*"):
        file.write_bytes(b"damaged" * 1000)

    site.node.start()
    await site.node.ready()

    assert await site.decide(token) == "grant"


async def test_a_rotated_key_is_published_before_it_signs(site: Site):
    before = (await site.gateway.http.get("/gateway/jwks")).json()["keys"]
    await site.gateway.write(rotate_node_keys)

    async def published() -> bool:
        return len((await site.gateway.http.get("/gateway/jwks")).json()["keys"]) == 2

    await until_async(published, 5)
    answer = await site.node.ask(site.api.id, await site.token())
    assertion = jwt.decode(answer.rpartition("|")[2], KeySet.import_key_set({"keys": before}))
    assert assertion.header["kid"] == before[0]["kid"]


async def test_a_further_node_serves_only_when_nobody_can_have_cached_a_list_without_its_key(
    sqlite_database: Database, scratch: Path
):
    async with (
        a_gateway(sqlite_database) as gateway,
        a_node(gateway, scratch / "data", jwks_max_age=timedelta(seconds=1)) as (node, _),
    ):
        before = generate()
        public = dict(before.as_dict(private=False))
        await gateway.put_keys({"kid": before.thumbprint(), "jwk": public, "state": "active"})
        api, application = await gateway.an_api(), await gateway.an_application("Mobile", "mobile")
        await gateway.a_subscription(application, api)
        node.start()

        async def published() -> bool:
            keys = (await gateway.http.get("/gateway/jwks")).json()["keys"]
            return [key["kid"] for key in keys] != [before.thumbprint()]

        await until_async(published)
        cached = (await gateway.http.get("/gateway/jwks")).json()
        assert not await node.is_ready()
        await node.ready()

        form = {"grant_type": "password", "username": "bob", "password": PASSWORD}
        token = (await gateway.installation.token("mobile", **form)).json()["access_token"]
        assertion = (await node.ask(api.id, token)).rpartition("|")[2]
        assert jwt.decode(assertion, KeySet.import_key_set(cached)).header["typ"] == "backend+jwt"


async def test_it_ends_when_told_to(site: Site):
    assert site.node.stop() == 0
    assert await site.node.is_ready() is False


async def test_its_log_is_structured_and_holds_no_secret(site: Site):
    token, opaque = await site.token(), await site.token("desk")
    answer = await site.node.ask(site.api.id, token)
    await site.decide(opaque)
    await site.decide("nonsense.nonsense.nonsense")
    await until(lambda: b"call_refused" in site.node.log.read_bytes())
    site.node.stop()

    text = site.node.log.read_text()

    assert all(isinstance(json.loads(line), dict) for line in text.splitlines())
    for secret in (token, opaque, answer.rpartition("|")[2], CREDENTIAL, "nonsense.nonsense"):
        assert secret not in text


async def test_its_files_are_private(site: Site):
    for file in site.node.settings.own.iterdir():
        if file.name != "credential":
            assert file.stat().st_mode & 0o077 == 0, file
    assert site.node.settings.agent_socket.stat().st_mode & 0o077 == 0


async def test_a_full_disk_stops_nothing_and_is_made_up_for(site: Site):
    """Not even the log can be written: a limit of zero bytes a file stands for a full disk."""
    assert site.node.process is not None
    token, stored = await site.token(), site.node.directory / "node" / "node.db"
    before = NodeStore(stored).load().number
    limit = resource.prlimit(site.node.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    await site.gateway.installation.http.post("/revoke", data={"token": token}, auth=("mobile", SECRET))

    await until_async(lambda: site.refused(token), 1)
    assert await site.decide(await site.token()) == "grant"
    assert NodeStore(stored).load().number == before
    resource.prlimit(site.node.process.pid, resource.RLIMIT_FSIZE, limit)
    number = await site.gateway.number()
    await until(lambda: NodeStore(stored).load().number == number)
