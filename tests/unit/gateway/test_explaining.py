"""Why a call was refused: the step that failed is the one that refused, and those before it held."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.unit.gateway.builders import (
    NOW,
    a_client,
    a_gateway_plan,
    a_plan,
    a_subscription,
    a_token,
    an_api,
    claims,
    sha256,
)
from tests.unit.gateway.test_authorize import SUBJECT, an_epoch, token
from tests.unit.gateway.test_decide import Desk

from ostiary.gateway.endpoints.explanations import ExplanationsBody
from ostiary.gateway.haproxy.render import HERE
from ostiary.gateway.node.authorize import Refused, authorize
from ostiary.gateway.node.decide import Miss
from ostiary.gateway.node.explaining import Step, credential_steps
from ostiary.gateway.node.explanations import KEPT, LINES_A_SECOND, OF_ONE_ORGANIZATION, Explanations
from ostiary.gateway.node.refused_calls import ADVICE, CALL_CHECKS, advice, call_steps
from ostiary.gateway.plan import Backend, Entry, Revocation

LINE = {
    "event": "access",
    "node": "embedded",
    "request_id": "r-1",
    "trace_id": "0" * 32,
    "organization": "my_company",
    "api": "api",
    "application": "",
    "method": "GET",
    "path": "/t/my_company/orders/1.0.0/7",
    "status": 401,
    "refusal": "invalid_token",
    "code": "900901",
    "wanted": "",
    "had": "",
    "client": "192.0.2.1",
    "milliseconds": 3,
    "backend_milliseconds": -1,
    "bytes_in": 100,
    "bytes": 200,
    "backend": "refusals",
    "termination": "LR",
}


def a_line(**changes: Any) -> bytes:
    return json.dumps({**LINE, **changes}).encode()


@pytest.mark.parametrize(
    ("things", "said", "check", "compared"),
    [
        ([], {"iss": "https://evil.example"}, "the token is of the API's issuer", "https://evil.example"),
        ([], {"org": "other"}, "the token is of the API's organization", "the token says other"),
        ([], {"aud": ["https://elsewhere"]}, "the token is for this gateway", "https://elsewhere"),
        ([], {"exp": NOW}, "the token has not expired", f"it ends at {NOW}"),
        ([], {"nbf": NOW + 1}, "the token is valid already", f"it begins at {NOW + 1}"),
        ([Entry("key", "k1", None)], {}, "the token's key is the organization's", "key k1"),
        ([Revocation("token:jti-1", NOW + 10)], {}, "the token is not revoked", "token jti-1"),
        (
            [an_epoch("subject", SUBJECT, 6)],
            {"epoch": 5},
            "nothing the token rests on was taken away since",
            "epoch is 5; minimums: subject 6",
        ),
        ([a_client(application=None)], {}, "the client belongs to an application", "no application"),
        ([an_epoch("application", "app", 6)], {"epoch": 5}, "the client belongs to an application", "Mobile"),
        (
            [Entry("subscription", "sub", None)],
            {},
            "the application is subscribed to the API",
            "no subscription",
        ),
        ([a_subscription(state="BLOCKED")], {}, "the application is subscribed to the API", "is BLOCKED"),
        ([a_plan(requests=5, per="fortnight")], {}, "the application is subscribed to the API", "UNBLOCKED"),
        ([an_api(backend=Backend((), ()))], {}, "the application is subscribed to the API", "UNBLOCKED"),
    ],
)
def test_the_failed_step_is_the_check_that_refused(
    things: list[Any], said: dict[str, Any], check: str, compared: str
) -> None:
    plan = a_gateway_plan(*(one for one in things if not isinstance(one, Entry)))
    plan = plan.apply(9, [one for one in things if isinstance(one, Entry)])
    presented = token(**said)
    with pytest.raises(Refused) as caught:
        authorize(plan, "api", presented, NOW)

    *passed, last = credential_steps(plan, "api", presented, NOW, caught.value)

    assert all(step.failed is None for step in passed)
    assert (last.check, last.failed) == (check, caught.value.reason)
    assert compared in last.compared


def test_a_refusal_that_has_no_row_is_shown_all_the_same() -> None:
    refused = Refused("invalid_token", "what a later check says")

    *passed, last = credential_steps(a_gateway_plan(), "api", token(), NOW, refused)

    assert len(passed) == 11
    assert last.failed == "what a later check says"


def test_a_token_that_cannot_be_read_has_one_step() -> None:
    steps = credential_steps(
        a_gateway_plan(), "api", None, NOW, Refused("invalid_token", "typ is not at+jwt")
    )

    assert steps == [Step("the token can be checked", "", "typ is not at+jwt")]


async def test_what_the_agent_checked_is_noted_for_every_call_of_a_flight() -> None:
    explanations, desk = Explanations(lambda: NOW), Desk()
    desk.decider._explanations = explanations
    credential = a_token(exp=NOW)
    for request_id in ("r-1", "r-2"):
        await desk.decider.decide(Miss("api", sha256(credential), SecretStr(credential), request_id))
        explanations.line(a_line(request_id=request_id))

    first, second = explanations.batch()
    assert first["steps"] == second["steps"]
    assert [step["outcome"] for step in first["steps"]] == ["passed"] * (len(first["steps"]) - 1) + ["failed"]
    assert first["steps"][-1]["reason"] == "expired"
    assert first["advice"] == "get a new token"
    assert credential not in json.dumps(first)


def test_every_refusal_of_the_gateway_has_a_check_and_advice() -> None:
    table = re.findall(r"^    (\w+) = \{ \d", (Path(HERE) / "refusals.lua").read_text(), re.MULTILINE)
    rows = {name for check in CALL_CHECKS for name in check.refusals}

    assert len(table) > 15
    assert set(table) - rows - {"internal"} == set()
    assert set(table) - set(ADVICE) == set()


@pytest.mark.parametrize(
    ("changes", "check", "reason"),
    [
        ({"refusal": "not_found"}, "an API is published at this path", "not_found (401 900901)"),
        ({"refusal": "brand_new", "wanted": "moon"}, "brand_new", "refused with 401 900901"),
        (
            {"refusal": "", "status": 502, "termination": "SH"},
            "the backend answers",
            "the backend's own answer, or none: SH",
        ),
    ],
)
def test_a_line_alone_tells_where_a_call_ended(changes: dict[str, Any], check: str, reason: str) -> None:
    line = {**LINE, **changes}

    *passed, last = call_steps(line, [])

    assert all(step.failed is None for step in passed)
    assert (last.check, last.failed) == (check, reason)
    assert advice(line)


@pytest.mark.parametrize("nothing", ["", "-"])
def test_what_a_worker_refused_is_the_workers_to_explain(nothing: str) -> None:
    explanations = Explanations(lambda: NOW)
    explanations.line(a_line(backend="workers", refusal=nothing, path="/token"))

    assert explanations.batch() == []


@pytest.mark.parametrize(
    ("path", "organization"),
    [
        ("/t/acme/x", "acme"),
        ("/t/acme", "acme"),
        ("/orders", "default"),
        ("/t/ACME/x", "default"),
        ("/t/", "default"),
    ],
)
def test_a_call_without_an_api_is_the_organizations_of_its_path(path: str, organization: str) -> None:
    explanations = Explanations(lambda: NOW)
    explanations.line(a_line(path=path, organization="", refusal="not_found"))

    assert explanations.batch()[0]["organization"] == organization


def test_a_flood_in_one_organization_leaves_room_for_another() -> None:
    explanations = Explanations(lambda: NOW)
    for n in range(10 * OF_ONE_ORGANIZATION):
        explanations.line(a_line(request_id=f"flood-{n}"))
    explanations.line(a_line(request_id="theirs", organization="acme"))

    waiting = []
    while batch := explanations.batch():
        waiting += batch
        explanations.told(batch)
    assert len(waiting) == OF_ONE_ORGANIZATION + 1
    assert waiting[-1]["request_id"] == "theirs"
    assert explanations.lost == 9 * OF_ONE_ORGANIZATION


def test_what_is_remembered_is_bounded() -> None:
    clock = iter(range(10**9))
    explanations = Explanations(lambda: next(clock))
    for n in range(KEPT + 500):
        explanations.note(f"r-{n}", [])
        explanations.line(a_line(request_id=f"r-{n + 10**6}"))

    assert (len(explanations._noted), len(explanations._waiting)) == (KEPT, KEPT)
    assert sum(explanations.may_note() for _ in range(3)) == 3


def test_noting_misses_has_a_limit_a_second() -> None:
    explanations = Explanations(lambda: NOW)

    assert sum(explanations.may_note() for _ in range(5 * LINES_A_SECOND)) == LINES_A_SECOND


def test_a_long_text_is_cut_so_that_it_costs_no_batch() -> None:
    explanations = Explanations(lambda: NOW)
    explanations.line(a_line(method="X" * 5000, organization="o" * 5000, wanted="w" * 5000, code="c" * 5000))

    ExplanationsBody(explanations=explanations.batch())


def test_a_hostile_datagram_is_ignored() -> None:
    made, explanations = random.Random(1), Explanations(lambda: NOW)
    whole = a_line()
    for _ in range(2_000):
        text = bytearray(whole)
        for _ in range(made.randint(1, 8)):
            text[made.randrange(len(text))] = made.randrange(256)
        explanations.line(bytes(text[: made.randint(0, len(text))]))
    for text in (
        b"[]",
        b"{}",
        b'"x"',
        b'{"request_id": 1}',
        b"null",
        json.dumps({**LINE, "status": "x"}).encode(),
    ):
        explanations.line(text)

    assert len(explanations.batch()) <= 2_000
    assert claims()
