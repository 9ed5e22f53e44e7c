"""A miss at an API that asks for claims of the user: what is told, races with changes, and outages."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import pytest
from tests.unit.gateway.builders import NOW, a_token, an_api
from tests.unit.gateway.test_decide import OPAQUE, Answer, Desk

from ostiary.gateway.plan import Entry, Revocation

EMAIL = "http://wso2.org/claims/emailaddress"


def asking() -> Desk:
    """A desk whose API asks for an e-mail address; each answer is as new as the plan."""
    desk = Desk()
    desk.change(an_api(assertion_claims=("email",)))
    desk.told = lambda: told(desk, "bob@example.com")
    desk.stored.clear()
    return desk


def told(desk: Desk, email: str, behind: int = 0) -> dict[str, Any]:
    number = desk.state.plan.number - behind
    return {"number": number, "claims": {"emailaddress": email}, "left_out": []}


def email_in(answer: Answer) -> object:
    assert answer.granted is not None
    payload = answer.granted.rpartition("|")[2].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get(EMAIL)


@pytest.mark.parametrize("credential", [OPAQUE, a_token()], ids=["opaque", "jwt"])
async def test_the_assertion_has_what_is_told(credential: str) -> None:
    assert email_in(await asking().decide(credential)) == "bob@example.com"


async def test_an_application_s_token_asks_nothing() -> None:
    desk = asking()

    answer = await desk.decide(a_token(aut="APPLICATION", sub="mobile", store=None, username=None))

    assert (email_in(answer), desk.questions) == (None, 0)


async def test_who_may_not_call_is_not_asked_about() -> None:
    desk = asking()
    desk.change(Revocation("token:jti-1", NOW + 99))

    assert await desk.refusal(a_token()) == "invalid_token"
    assert desk.questions == 0


async def test_claims_that_change_while_they_are_told_are_asked_for_again() -> None:
    """The answer was read before the change and arrives after it: no decision is there yet to be ended."""
    desk, emails = asking(), iter(["old@example.com", "new@example.com"])

    def said_before() -> Any:
        email = next(emails)
        answer = told(desk, email)
        if email == "old@example.com":
            desk.change(Entry("claims", "5b0e5c0e-0000-4000-8000-000000000001", None))
        return answer

    desk.told = said_before

    assert email_in(await desk.decide(a_token())) == "new@example.com"
    assert len(desk.index) == 1


async def test_a_plan_that_is_always_newer_than_what_is_told_is_an_outage() -> None:
    desk = asking()
    desk.told = lambda: told(desk, "old@example.com", behind=1)

    assert await desk.refusal(a_token()) == "unavailable"
    assert desk.questions == 3
    assert desk.stored == []


async def test_a_revocation_wins_while_the_user_is_asked_about() -> None:
    desk = asking()

    def revoked_meanwhile() -> Any:
        desk.change(Revocation("token:jti-1", NOW + 99))
        return told(desk, "bob@example.com")

    desk.told = revoked_meanwhile

    assert await desk.refusal(a_token()) == "invalid_token"
    assert desk.stored == []


async def test_an_api_that_stops_asking_meanwhile_is_told_nothing() -> None:
    desk = asking()

    def asks_no_more() -> Any:
        desk.change(an_api())
        return told(desk, "bob@example.com")

    desk.told = asks_no_more

    assert email_in(await desk.decide(a_token())) is None


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.ConnectError("down"),
        httpx2.Response(500),
        httpx2.Response(401),
        httpx2.Response(404),
        httpx2.Response(200, content=b"<html>"),
        httpx2.Response(200, json=[]),
        httpx2.Response(200, json={"number": 99, "claims": {}}),
        httpx2.Response(200, json={"number": 99, "claims": [], "left_out": []}),
        httpx2.Response(200, json={"number": "99", "claims": {}, "left_out": []}),
        httpx2.Response(200, json={"number": 99, "claims": {"emailaddress": 5}, "left_out": []}),
        httpx2.Response(200, json={"number": 99, "claims": {"emailaddress": "a" * 5_000}, "left_out": []}),
    ],
    ids=str,
)
async def test_without_an_answer_nobody_is_let_through_and_nothing_is_stored(answer: Any) -> None:
    desk = asking()
    desk.told = lambda: answer

    assert await desk.refusal(a_token()) == "unavailable"
    assert desk.stored == []
