"""GET /internal/gateway/v1/plan?page=: the plan in pages, whatever changes meanwhile; changes in parts."""

import base64
import json
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select
from tests.http.gateway.gateway import Gateway

from ostiary import apim
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.gateway.feed import MOST_CHANGES
from ostiary.gateway.pages import PAGE
from ostiary.gateway.plan import GatewayPlan, Kind, PlanAnswer, to_wire
from ostiary.oauth.tables import signing_keys
from ostiary.organizations import Organization, narrow, put

EARLIER = "00000000-0000-0000-0000-000000000001"
NARROWED = 2 * PAGE + 300


async def page(gateway: Gateway, page: str = "") -> PlanAnswer:
    answer = await gateway.http.get("/internal/gateway/v1/plan", params={"after": 0, "page": page})
    assert answer.status_code == 200, answer.text
    return PlanAnswer.from_wire(answer.json())


async def pages_after(gateway: Gateway, first: PlanAnswer) -> list[PlanAnswer]:
    found = [first]
    while (following := found[-1].next_page) is not None:
        found.append(await page(gateway, following))
    return found


async def changes(gateway: Gateway, number: int) -> list[PlanAnswer]:
    found: list[PlanAnswer] = []
    while not found or found[-1].more:
        after = found[-1].number if found else number
        answer = await gateway.http.get("/internal/gateway/v1/plan", params={"after": after, "page": ""})
        found.append(PlanAnswer.from_wire(answer.json()))
    return found


def together(answers: list[PlanAnswer]) -> GatewayPlan:
    return GatewayPlan().apply(answers[-1].number, [one for answer in answers for one in answer.entries])


async def whole(gateway: Gateway) -> GatewayPlan:
    return PlanAnswer.from_wire((await gateway.plan()).json()).next_plan(GatewayPlan())


async def grown(gateway: Gateway) -> apim.Subscription:
    """More APIs, and more narrowed things, than fit on a page; a second organization after the first."""
    application = await gateway.an_application("Mobile", "mobile")
    subscription = await gateway.a_subscription(application, await gateway.an_api())
    here = gateway.organization_id

    def more(connection: Connection) -> None:
        resources = (apim.Resource("GET", "/"),)
        for number in range(120):
            backend = apim.Backend(("http://127.0.0.1:9701",))
            spec = apim.APISpec(f"A{number}", f"/a{number}", "1", backend, ("Gold",), resources)
            apim.create_api(connection, here, spec, OutboundPolicy())
        for number in range(NARROWED):
            narrow(connection, here, "subject", f"subject-{number}")
        put(connection, Organization("ffffffff-0000-0000-0000-000000000000", "another", "Another"))

    await gateway.write(more)
    return subscription


async def test_the_pages_together_are_the_whole_plan(on_both: Gateway):
    await grown(on_both)

    answers = await pages_after(on_both, await page(on_both))

    assert len(answers) > NARROWED / PAGE
    assert together(answers) == await whole(on_both)
    assert {(answer.number, answer.complete) for answer in answers} == {(await on_both.number(), True)}
    told = [(entry.kind, entry.id) for answer in answers for entry in answer.entries]
    assert len(told) == len(set(told))


async def test_what_is_read_whole_may_be_as_many_as_fit_on_a_page(on_both: Gateway):
    """A copy that ended there, or asked for a key by which nothing is paged, would never be a plan."""

    def more(connection: Connection) -> None:
        (row, *others) = connection.execute(select(signing_keys)).mappings()
        new = PAGE - 1 - len(others)
        connection.execute(
            insert(signing_keys), [{**row, "kid": f"k{n}", "state": "retiring"} for n in range(new)]
        )

    await on_both.an_application("Mobile", "mobile")
    await on_both.installation.password_token()  # with which its organization has a key
    await on_both.write(more)

    copied = together(await pages_after(on_both, await page(on_both)))

    assert len(copied.keys) == PAGE


async def test_every_kind_of_thing_is_on_some_page(gateway: Gateway):
    """What lacks a section would be in no copy, and no comparison of pages with pages would miss it."""
    await gateway.a_subscription(await gateway.an_application("Mobile", "mobile"), await gateway.an_api())
    here = gateway.organization_id
    token = await gateway.installation.password_token()
    form = {"token": token["refresh_token"]}
    await gateway.installation.http.post("/revoke", data=form, auth=("mobile", "s3cret-of-the-client"))

    def more(connection: Connection) -> None:
        (application,) = apim.list_applications(connection, here)
        now = gateway.installation.clock()
        apim.create_api_key(connection, here, application.id, apim.APIKeySpec("key"), now)
        apim.create_deny_policy(connection, here, apim.DenySpec(apim.DenyCondition.IP, "192.0.2.7"))
        narrow(connection, here, "subject", "somebody")

    await gateway.write(more)

    told = {
        entry.kind for answer in await pages_after(gateway, await page(gateway)) for entry in answer.entries
    }

    assert told == set(Kind) - {Kind.CLAIMS}  # which are said when they change, and are of no plan


async def test_no_page_grows_with_the_plan(gateway: Gateway):
    await grown(gateway)

    answers = await pages_after(gateway, await page(gateway))

    assert max(len(answer.entries) for answer in answers) <= 2 * PAGE
    assert max(sum(one.kind == "api" for one in answer.entries) for answer in answers) <= 100


async def test_what_changes_during_a_copy_is_not_lost(on_both: Gateway):
    """Gone behind it and before it, changed behind it, made on both sides: pages and then changes say all."""
    subscription, here = await grown(on_both), on_both.organization_id
    first = await page(on_both)

    def change(connection: Connection) -> None:
        apim.unsubscribe(connection, here, subscription.id)
        narrow(connection, here, "subject", "subject-0")
        narrow(connection, here, "subject", "aaaa")
        narrow(connection, here, "scope", "zzzz")
        put(connection, Organization(EARLIER, "earlier", "Earlier"))
        for api in apim.list_apis(connection, here)[:60]:
            apim.change_state(connection, here, api.id, apim.LifecycleState.PUBLISHED)

    await on_both.write(change)
    copied = await pages_after(on_both, first)

    expected, told = await whole(on_both), await changes(on_both, first.number)
    built_in = {id: one for id, one in expected.plans.items() if one.organization_id == EARLIER}
    assert together([*copied, *told]).apply(told[-1].number, map(to_wire, built_in.values())) == expected
    assert not {one.plan_id for one in expected.subscriptions.values()} & set(built_in)  # told when in use


def place(*said: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "é",
        "/",
        "bnVsbA==",
        place(),
        place(1, "", 0),
        place("1", "", 0, ""),
        place(True, "", 0, ""),
        place(-1, "", 0, ""),
        place(2**64, "", 0, ""),
        place(1, "", 99, ""),
        place(1, None, 0, ""),
        place(1, "\0", 0, ""),
        place(1, "\ud800", 0, ""),
        place(1, "", 0, "x" * 1001),
        base64.urlsafe_b64encode(b"[" * 5_000).decode(),
    ],
)
async def test_a_page_that_no_answer_named_is_refused(gateway: Gateway, text: str):
    answer = await gateway.http.get("/internal/gateway/v1/plan", params={"after": "0", "page": text})

    assert answer.status_code == 400
    assert "page" in answer.json()["description"]


async def test_many_changes_come_in_parts_and_the_last_one_says_so(on_both: Gateway):
    before, here = await whole(on_both), on_both.organization_id

    def many(connection: Connection) -> None:
        for number in range(MOST_CHANGES + 10):
            narrow(connection, here, "subject", f"subject-{number}")

    await on_both.write(many)
    parts = await changes(on_both, before.number)

    assert [(len(one.entries), one.complete, one.more) for one in parts] == [
        (MOST_CHANGES, False, True),
        (10, False, False),
    ]
    entries = [entry for part in parts for entry in part.entries]
    assert before.apply(parts[-1].number, entries) == await whole(on_both)


async def test_a_node_that_knows_no_parts_is_given_the_whole_plan_for_many_changes(gateway: Gateway):
    before, here = await gateway.number(), gateway.organization_id

    def many(connection: Connection) -> None:
        for number in range(MOST_CHANGES + 10):
            narrow(connection, here, "subject", f"subject-{number}")

    await gateway.write(many)
    answer = (await gateway.plan(after=before)).json()

    assert answer["complete"] is True
    assert not {"more", "next_page"} & set(answer)
