"""The plan on its way: what is not whole and unaltered never replaces what a node has (RFC 9530 §2).

`plan-as-of-0.1.0.json` is the complete answer of an earlier control plane; it stays as it was recorded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr
from tests.unit.gateway.builders import a_gateway_plan

from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown, NotAdmitted
from ostiary.gateway.plan import BadPlan, GatewayPlan, PlanAnswer, content_digest

RECORDED = Path(__file__).parent / "plan-as-of-0.1.0.json"
ANSWER = PlanAnswer(7, complete=True, entries=tuple(a_gateway_plan().entries()))
BODY = json.dumps(ANSWER.to_wire()).encode()


def answering(body: bytes, status: int = 200, **headers: str) -> ControlPlane:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, content=body, headers=named))
    return ControlPlane([transport], SecretStr("credential"))


async def test_a_whole_answer_is_taken():
    assert await answering(BODY, content_digest=content_digest(BODY)).plan(0, 0, seen=0) == ANSWER


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda body: body[: len(body) // 2],
    "empty": lambda _: b"",
    "garbage": lambda _: b"\x00\xff" * 100,
    "one entry less": lambda body: json.dumps(
        {**json.loads(body), "entries": json.loads(body)["entries"][1:]}
    ).encode(),
    "one byte": lambda body: body.replace(b'"number": 7', b'"number": 8'),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_an_answer_that_differs_from_its_digest_is_no_plan(damage: str):
    damaged = DAMAGE[damage](BODY)
    assert damaged != BODY

    with pytest.raises(BadPlan):
        await answering(damaged, content_digest=content_digest(BODY)).plan(0, 0, seen=0)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b'{"schema_version":2}', b'{"schema_version":1}']
)
async def test_what_is_no_plan_is_refused_with_the_right_digest_too(body: bytes):
    with pytest.raises(BadPlan):
        await answering(body, content_digest=content_digest(body)).plan(0, 0, seen=0)


async def test_an_answer_without_a_digest_is_no_plan():
    with pytest.raises(BadPlan):
        await answering(BODY).plan(0, 0, seen=0)


async def test_a_node_that_is_not_known_there_is_told_so():
    with pytest.raises(NotAdmitted):
        await answering(b"{}", 401).plan(0, 0, seen=0)


async def test_a_control_plane_in_trouble_is_no_refusal():
    with pytest.raises(ControlPlaneDown) as raised:
        await answering(b"{}", 503).plan(0, 0, seen=0)
    assert not isinstance(raised.value, NotAdmitted)


def test_the_plan_of_the_previous_version_is_read_whole():
    """Nothing that was on the wire then has become something this version does not understand."""
    answer = PlanAnswer.from_wire(json.loads(RECORDED.read_text()))

    plan = answer.next_plan(GatewayPlan())

    assert answer.complete
    assert plan.number == 7
    assert plan.unreadable == plan.barred == {}
    known = "organization api application client subscription plan key epoch revocation node"
    assert {one.kind for one in answer.entries} == set(known.split())
    assert [plan.refusals(api) for api in plan.apis.values()] == [frozenset()] * len(plan.apis)


def test_a_field_of_the_next_version_refuses_the_api_concerned_alone():
    document = json.loads(RECORDED.read_text())
    apis = [one for one in document["entries"] if one["kind"] == "api"]
    other = {**apis[0], "id": "another-api", "value": {**apis[0]["value"], "context": "/another"}}
    apis[0]["value"]["requires_second_factor"] = True
    document["entries"].append(other)

    plan = PlanAnswer.from_wire(document).next_plan(GatewayPlan())

    assert plan.refusals(plan.apis[apis[0]["id"]]) == {"requires_second_factor"}
    assert plan.refusals(plan.apis["another-api"]) == frozenset()


def test_a_kind_of_the_next_version_bars_what_it_is_about():
    document = json.loads(RECORDED.read_text())
    api = next(one["id"] for one in document["entries"] if one["kind"] == "api")
    document["entries"].append({"kind": "quarantine", "id": "q1", "value": {"api_id": api}})

    plan = PlanAnswer.from_wire(document).next_plan(GatewayPlan())

    assert plan.refusals(plan.apis[api]) == {"quarantine"}


def test_information_of_the_next_version_bars_nothing():
    document = json.loads(RECORDED.read_text())
    api = next(one for one in document["entries"] if one["kind"] == "api")
    api["value"]["optional"] = {"colour": "green"}

    plan = PlanAnswer.from_wire(document).next_plan(GatewayPlan())

    assert plan.refusals(plan.apis[api["id"]]) == frozenset()


@pytest.mark.parametrize(("after", "at_least", "at_most"), [(0, 60, 600), (7, 1, 10)])
async def test_a_complete_plan_may_take_as_long_as_a_large_one_takes(after: int, at_least: int, at_most: int):
    """A node without any plan would otherwise never get one that takes longer than a change may."""
    allowed: list[float] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        allowed.append(request.extensions["timeout"]["read"])
        return httpx2.Response(200, content=BODY, headers={"Content-Digest": content_digest(BODY)})

    await ControlPlane([httpx2.MockTransport(answer)], SecretStr("credential")).plan(after, 0, seen=after)

    assert at_least <= allowed[0] <= at_most
