"""GET /internal/gateway/v1/plan: the complete plan, its changes, and waiting for them."""

import asyncio
import time
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection
from tests.http.gateway.gateway import CREDENTIAL, Gateway
from tests.http.oauth.installation import PUBLIC_URL
from tests.support.identity import BOX

from ostiary import apim
from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import Database
from ostiary.foundation.events import Event, record
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.gateway import ensure_embedded_node, every_node_knows_key, repository, rotate_node_keys
from ostiary.gateway.plan import GatewayPlan, PlanAnswer
from ostiary.organizations import narrow


def values(answer: dict[str, Any], kind: str) -> dict[str, Any]:
    return {entry["id"]: entry["value"] for entry in answer["entries"] if entry["kind"] == kind}


def named(answer: dict[str, Any]) -> set[tuple[str, str]]:
    return {(entry["kind"], entry["id"]) for entry in answer["entries"]}


async def test_a_node_is_told_which_apis_there_are(on_both: Gateway):
    api, organization = await on_both.an_api(), on_both.organization_id

    answer = (await on_both.plan()).json()

    assert (answer["schema_version"], answer["complete"]) == (1, True)
    assert values(answer, "organization")[organization] == {
        "name": "my_company",
        "issuer": f"{PUBLIC_URL}/t/my_company",
        "audience": f"{PUBLIC_URL}/t/my_company/gateway",
    }
    assert values(answer, "api")[api.id] == {
        "organization_id": organization,
        "name": "Orders",
        "context": "/orders",
        "version": "1.0.0",
        "state": "PUBLISHED",
        "backend": {"production": ["http://127.0.0.1:9701"]},
        "resources": [
            {"method": "GET", "path": "/{id}"},
            {"method": "POST", "path": "/"},
        ],
    }


async def test_a_node_is_told_who_may_call_them_and_how_much(on_both: Gateway):
    api, application = await on_both.an_api(), await on_both.an_application("Mobile", "mobile")
    subscription = await on_both.a_subscription(application, api)
    organization = on_both.organization_id

    answer = (await on_both.plan()).json()

    assert values(answer, "application") == {
        application.id: {
            "organization_id": organization,
            "name": "Mobile",
            "owner": "bob@my_company",
            "tier": "Unlimited",
        }
    }
    assert values(answer, "client") == {
        "mobile": {
            "organization_id": organization,
            "application_id": application.id,
            "key_type": "PRODUCTION",
        }
    }
    assert values(answer, "subscription") == {
        subscription.id: {
            "organization_id": organization,
            "application_id": application.id,
            "api_id": api.id,
            "plan_id": subscription.plan_id,
            "state": "UNBLOCKED",
        }
    }
    assert values(answer, "plan")[subscription.plan_id] == {
        "organization_id": organization,
        "name": "Gold",
        "requests": 5000,
        "per": "minute",
    }


async def test_a_node_is_told_every_limit(on_both: Gateway):
    few, burst = apim.Limit(5, apim.Period.HOUR), apim.Limit(2, apim.Period.SECOND)
    here = on_both.organization_id

    def unit(connection: Connection) -> tuple[apim.Plan, apim.API, apim.Application]:
        plan = apim.put_plan(connection, here, "Partner", None, apim.Period.DAY, burst, 2048)
        resources = (apim.Resource("GET", "/", limit=few),)
        address = apim.Backend(("http://127.0.0.1:9701",))
        spec = apim.APISpec("Few", "/few", "1", address, ("Partner",), resources, limit=few)
        api = apim.create_api(connection, here, spec, OutboundPolicy())
        application = apim.ApplicationSpec("Mobile", "bob", tier="20PerMin")
        return plan, api, apim.create_application(connection, here, application)

    plan, api, application = await on_both.write(unit)
    answer = (await on_both.plan()).json()

    told = {"requests": 5, "per": "hour"}
    assert values(answer, "plan")[plan.id] == {
        "organization_id": here,
        "name": "Partner",
        "requests": None,
        "per": "day",
        "burst": {"requests": 2, "per": "second"},
        "bandwidth": 2048,
    }
    assert values(answer, "api")[api.id]["limit"] == told
    assert values(answer, "api")[api.id]["resources"] == [{"method": "GET", "path": "/", "limit": told}]
    assert values(answer, "application")[application.id]["limit"] == {"requests": 20, "per": "minute"}


async def test_a_node_is_told_which_tokens_are_good(on_both: Gateway):
    await on_both.an_application("Mobile", "mobile")
    await on_both.installation.password_token()  # makes the first key
    organization = on_both.organization_id
    await on_both.write(lambda c: narrow(c, organization, "scope", "orders:write"))

    answer = (await on_both.plan()).json()

    assert values(answer, "epoch")[f"{organization}:scope:orders:write"]["minimum"] > 0
    assert values(answer, "node") == {on_both.node.id: {"rotation": 0}}
    (kid,) = values(answer, "key")
    assert values(answer, "key")[kid]["state"] == "active"
    assert "d" not in values(answer, "key")[kid]["jwk"]


async def test_the_complete_plan_can_be_read_back(gateway: Gateway):
    await gateway.a_subscription(await gateway.an_application("Mobile", "mobile"), await gateway.an_api())

    answer = PlanAnswer.from_wire((await gateway.plan()).json())

    plan = answer.next_plan(GatewayPlan())
    assert (plan.unreadable, plan.barred) == ({}, {})
    assert all(plan.refusals(api) == frozenset() for api in plan.apis.values())


async def test_a_node_is_told_what_changed_and_nothing_else(on_both: Gateway):
    api, application = await on_both.an_api(), await on_both.an_application("Mobile", "mobile")
    before = await on_both.number()
    subscription = await on_both.a_subscription(application, api)

    answer = (await on_both.plan(after=before)).json()

    assert answer["complete"] is False
    assert named(answer) == {("subscription", subscription.id)}
    assert answer["number"] > before


async def test_what_is_gone_is_told_as_nothing(gateway: Gateway):
    api, application = await gateway.an_api(), await gateway.an_application("Mobile", "mobile")
    subscription = await gateway.a_subscription(application, api)
    before = await gateway.number()
    here = gateway.organization_id
    await gateway.write(lambda c: apim.unsubscribe(c, here, subscription.id))

    answer = (await gateway.plan(after=before)).json()

    assert values(answer, "subscription") == {subscription.id: None}


async def test_several_changes_of_one_thing_are_told_once_as_it_is_now(gateway: Gateway):
    before = await gateway.number()
    api = await gateway.an_api()
    here = gateway.organization_id
    for state in (apim.LifecycleState.BLOCKED, apim.LifecycleState.PUBLISHED, apim.LifecycleState.DEPRECATED):
        await gateway.write(lambda c, to=state: apim.change_state(c, here, api.id, to))

    answer = (await gateway.plan(after=before)).json()

    assert [entry["id"] for entry in answer["entries"]].count(api.id) == 1
    assert values(answer, "api")[api.id]["state"] == "DEPRECATED"


async def test_a_disabled_client_is_not_in_the_plan(gateway: Gateway):
    await gateway.an_application("Mobile", "mobile")
    before = await gateway.number()
    await gateway.installation.a_client("mobile", is_disabled=True)

    answer = (await gateway.plan(after=before)).json()

    assert values(answer, "client") == {"mobile": None}
    assert values((await gateway.plan()).json(), "client") == {}


async def test_a_revoked_token_is_told(gateway: Gateway):
    await gateway.an_application("Mobile", "mobile")
    body = await gateway.installation.password_token()
    before = await gateway.number()
    form = {"token": body["refresh_token"]}
    answer = await gateway.installation.http.post(
        "/revoke", data=form, auth=("mobile", "s3cret-of-the-client")
    )
    assert answer.status_code == 200

    told = values((await gateway.plan(after=before)).json(), "revocation")

    assert [id.partition(":")[0] for id in told] == ["family"]
    assert set(told) == set(values((await gateway.plan()).json(), "revocation"))


async def test_a_waiting_node_hears_of_a_commit_by_any_worker_at_once(on_both: Gateway):
    before = await on_both.number()
    asked = asyncio.create_task(on_both.plan(after=before, wait=20))
    neighbour = Database.open(on_both.installation.database.url)
    try:
        done, _ = await asyncio.wait({asked}, timeout=0.2)
        assert not done
        here = on_both.organization_id
        committed = time.monotonic()
        await neighbour.write(lambda c: narrow(c, here, "client", "mobile"))

        answer = (await asked).json()

        assert time.monotonic() - committed < 1
        assert named(answer) == {("epoch", f"{here}:client:mobile")}
    finally:
        await neighbour.close()


async def test_when_nothing_happens_the_number_stays(gateway: Gateway):
    number = await gateway.number()

    answer = (await gateway.plan(after=number, wait=1)).json()

    assert answer == {"schema_version": 1, "number": number, "complete": False, "entries": []}


async def test_a_number_from_the_future_asks_for_everything(gateway: Gateway):
    """A restored backup: 410 makes the node ask for the complete plan."""
    answer = await gateway.plan(after=await gateway.number() + 1)

    assert answer.status_code == 410
    assert set(answer.json()) == {"code", "message", "description", "traceId"}


async def test_a_node_has_what_it_says_it_uses_whatever_it_asks_for(on_both: Gateway):
    """A part of the changes, or of a copy, is not used before all are there."""
    before, here = await on_both.number(), on_both.organization_id
    await on_both.write(lambda c: record(c, Event("key", here, "k9")))
    number, now = await on_both.number(), utc_now()

    async def asked(**question: int | str) -> tuple[int, bool]:
        await on_both.http.get("/internal/gateway/v1/plan", params={"wait": 0, **question})
        read = on_both.installation.database.read
        node = await read(lambda c: repository.find_node(c, on_both.node.id))
        assert node is not None
        return node.acknowledged, await read(lambda c: every_node_knows_key(c, "k9", now))

    assert await asked(after=number, page="", seen=before) == (before, False)
    assert await asked(after=before, page="", seen=number) == (number, True)
    assert await asked(after=number, page="", seen=0) == (0, False)
    assert await asked(after=number) == (number, True)  # as a node of version 0.1 asks
    assert await asked(after=number, page="", seen=number + 99) == (0, False)  # before the backup, it was
    assert await asked(after=number + 99) == (0, False)


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=1.5", "wait=26", "wait=-1", "after=" + "9" * 30, "seen=-1"]
)
async def test_a_bad_number_is_named(gateway: Gateway, query: str):
    answer = await gateway.http.get(f"/internal/gateway/v1/plan?{query}")

    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["description"]


async def test_a_node_is_told_of_its_own_rotation_only(gateway: Gateway):
    await gateway.write(lambda c: ensure_embedded_node(c, SecretStr("another"), BOX, utc_now()))
    before = await gateway.number()
    await gateway.write(rotate_node_keys)

    changes, everything = (await gateway.plan(after=before)).json(), (await gateway.plan()).json()

    assert values(changes, "node") == values(everything, "node") == {gateway.node.id: {"rotation": 1}}


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer ", f"Basic {CREDENTIAL}x"])
async def test_only_a_node_is_told_the_plan(gateway: Gateway, authorization: str | None):
    headers = {"Authorization": authorization} if authorization else {}
    for method, path in (("GET", "plan"), ("POST", "introspect"), ("PUT", "node/keys")):
        gateway.http.headers.pop("Authorization", None)
        answer = await gateway.http.request(method, f"/internal/gateway/v1/{path}", headers=headers)
        assert answer.status_code == 401


async def test_a_node_that_goes_away_ends_its_long_poll(gateway: Gateway):
    """Otherwise a worker that is told to stop would wait for nobody."""
    number, gone = await gateway.number(), asyncio.Event()
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/internal/gateway/v1/plan",
        "raw_path": b"/internal/gateway/v1/plan",
        "query_string": f"after={number}&wait=25".encode(),
        "headers": [(b"authorization", f"Bearer {CREDENTIAL}".encode())],
        "scheme": "http",
        "http_version": "1.1",
        "server": None,
        "client": None,
        "root_path": "",
        "state": {},
    }
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        pass

    polling = asyncio.create_task(gateway.app(scope, receive, send))
    done, _ = await asyncio.wait({polling}, timeout=0.2)
    assert not done
    gone.set()

    async with asyncio.timeout(2):
        await polling
