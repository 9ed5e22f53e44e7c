"""One miss from question to answer: flights, races with the plan, and a control plane that is down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from tests.unit.gateway.builders import (
    NOW,
    SIGNING_KEY,
    a_gateway_plan,
    a_key,
    a_ring,
    a_subscription,
    a_token,
    an_api,
    claims,
    sha256,
)

from ostiary.gateway.haproxy import MapEntry
from ostiary.gateway.node.control_plane import ControlPlane
from ostiary.gateway.node.decide import Answer, Decider, Miss
from ostiary.gateway.node.index import DecisionIndex
from ostiary.gateway.node.keys import generate
from ostiary.gateway.node.state import NodeState
from ostiary.gateway.plan import Entry, Revocation, Thing, to_wire

OPAQUE = "b3BhcXVlLXRva2VuLW9mLW91cnM"


@dataclass
class Desk:
    """A decider over a plan, with a control plane whose answers the test gives."""

    introspected: Callable[[], Any] = lambda: {"active": True, **claims()}
    told: Callable[[], Any] = lambda: {"number": 99, "claims": {}, "left_out": []}
    on_refresh: Callable[[], Any] = lambda: None
    now: float = NOW
    stored: list[MapEntry] = field(default_factory=list)
    questions: int = 0
    refreshes: int = 0

    def __post_init__(self) -> None:
        self.state = NodeState(a_gateway_plan(), NOW, timedelta(hours=24))
        self.state.ring = a_ring(generate)
        self.index = DecisionIndex(10_000)
        transport = httpx2.MockTransport(self._answer)
        self.decider = Decider(
            self.state,
            self.index,
            self.stored.extend,
            self._refresh,
            ControlPlane([transport], SecretStr("credential")),
            timedelta(minutes=15),
            lambda: self.now,
        )

    def change(self, *changes: Thing | Entry) -> None:
        """Take a change of the plan as the agent does."""
        before, entries = self.state.plan, [e if isinstance(e, Entry) else to_wire(e) for e in changes]
        self.state.plan = before.apply(before.number + 1, entries)
        touched = [(entry.kind, entry.id) for entry in entries]
        self.stored.extend(self.index.invalidate(before, self.state.plan, touched))

    async def decide(self, credential: str, api: str = "api") -> Answer:
        return await self.decider.decide(Miss(api, sha256(credential), SecretStr(credential)))

    async def refusal(self, credential: str, api: str = "api") -> str | None:
        return (await self.decide(credential, api)).refused

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.questions += 1
        await asyncio.sleep(0)
        answer = self.told() if request.url.path.endswith("/claims") else self.introspected()
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx2.Response):
            return answer
        return httpx2.Response(200, json=answer)

    async def _refresh(self) -> None:
        self.refreshes += 1
        self.on_refresh()


async def test_a_grant_is_stored_and_answered() -> None:
    desk, token = Desk(), a_token()

    answer = await desk.decide(token)

    (entry,) = desk.stored
    assert entry.key == f"api:{sha256(token)}"
    assert answer.as_text() == f"grant\n{entry.value}"


async def test_a_decision_lives_no_longer_than_its_token_or_the_setting() -> None:
    desk = Desk()
    for credential in (a_token(exp=NOW + 60), a_token(exp=NOW + 9_000)):
        await desk.decide(credential)

    expiries = [int((entry.value or "")[1:9], 16) for entry in desk.stored]
    assert expiries == [NOW + 60, NOW + 900]


async def test_a_refusal_is_never_stored() -> None:
    desk = Desk()

    assert await desk.refusal(a_token(exp=NOW)) == "invalid_token"
    assert await desk.refusal(a_token(client_id="web")) == "not_subscribed"
    assert (desk.stored, len(desk.index)) == ([], 0)


async def test_a_hash_of_another_credential_is_refused() -> None:
    """Otherwise one token's decision could be stored under another's name."""
    desk = Desk()

    answer = await desk.decider.decide(Miss("api", sha256("another"), SecretStr(a_token())))

    assert (answer.refused, desk.stored) == ("invalid_token", [])


async def test_concurrent_misses_of_one_credential_are_one_flight() -> None:
    desk = Desk()

    answers = await asyncio.gather(*(desk.decide(OPAQUE) for _ in range(50)))

    assert (desk.questions, len(set(answers)), len(desk.stored)) == (1, 1, 1)


async def test_one_credential_at_two_apis_is_two_decisions() -> None:
    desk = Desk()
    desk.change(an_api("api2"), a_subscription("sub2", api_id="api2"))

    await asyncio.gather(desk.decide(OPAQUE), desk.decide(OPAQUE, "api2"))

    assert {entry.key.partition(":")[0] for entry in desk.stored} == {"api", "api2"}


async def test_a_worker_that_lacks_a_decision_is_given_the_one_that_stands() -> None:
    desk = Desk()
    first, second = await desk.decide(OPAQUE), await desk.decide(OPAQUE)

    assert (first, desk.questions) == (second, 1)
    assert len(desk.stored) == 2


async def test_a_revocation_wins_while_the_token_is_being_asked_about() -> None:
    """The control plane said "active" before the revocation and the answer arrives after it."""
    desk = Desk()

    def said_before() -> Any:
        desk.change(Revocation("token:jti-1", NOW + 99))
        return {"active": True, **claims()}

    desk.introspected = said_before

    assert await desk.refusal(OPAQUE) == "invalid_token"
    assert desk.stored == []


async def test_a_revocation_right_after_a_decision_deletes_it_after_it_was_stored() -> None:
    desk = Desk()
    await desk.decide(OPAQUE)
    desk.change(Revocation("family:family-1", NOW + 99))

    values = [entry.value is None for entry in desk.stored]
    assert values == [False, True]
    assert desk.stored[0].key == desk.stored[1].key
    assert await desk.refusal(OPAQUE) == "invalid_token"


async def test_an_unknown_key_is_asked_for_once_and_then_accepted() -> None:
    desk = Desk()
    desk.on_refresh = lambda: desk.change(a_key(kid="k9"))

    assert (await desk.decide(a_token(header={"kid": "k9"}))).granted
    assert desk.refreshes == 1


async def test_an_unknown_key_is_asked_for_once_and_then_refused() -> None:
    desk = Desk()

    assert await desk.refusal(a_token(header={"kid": "k9"})) == "invalid_token"
    assert desk.refreshes == 1


async def test_a_subscription_made_a_moment_ago_is_found() -> None:
    desk = Desk()
    desk.change(Entry("subscription", "sub", None))
    desk.on_refresh = lambda: desk.change(a_subscription())

    assert (await desk.decide(a_token())).granted


async def test_what_no_newer_plan_can_change_is_refused_without_asking() -> None:
    desk = Desk()
    for token in (a_token(exp=NOW - 1), a_token(SIGNING_KEY, {"typ": "JWT"}), "nonsense", "a.b.c", ""):
        assert await desk.refusal(token) == "invalid_token"
    assert (desk.refreshes, desk.questions) == (0, 0)


@pytest.mark.parametrize(
    ("credential", "change"),
    [
        (a_token(header={"kid": "k9"}), None),
        (a_token(client_id="web"), None),
        (OPAQUE, None),
        (a_token(), an_api(assertion_claims=("email",))),
    ],
    ids=["unknown key", "unknown subscription", "opaque", "claims of the user"],
)
async def test_what_the_control_plane_has_to_be_asked_about_is_said_to_be_so_and_nothing_is_asked(
    credential: str, change: Thing | None
) -> None:
    """So that it waits among its like, and holds up nobody whom the agent can judge."""
    desk = Desk()
    if change is not None:
        desk.change(change)

    alone = Miss("api", sha256(credential), SecretStr(credential), relayed=False)
    answer = await desk.decider.decide(alone)

    assert answer.as_text() == "relay"
    assert (desk.questions, desk.refreshes, desk.stored) == (0, 0, [])


async def test_what_the_agent_can_judge_alone_it_judges() -> None:
    desk, token, ended = Desk(), a_token(), a_token(exp=NOW)
    alone = [Miss("api", sha256(one), SecretStr(one), relayed=False) for one in (token, ended)]

    granted, refused = [await desk.decider.decide(miss) for miss in alone]

    assert (granted.granted is not None, refused.refused) == (True, "invalid_token")


async def test_an_unknown_opaque_token_is_invalid() -> None:
    desk = Desk(introspected=lambda: {"active": False})

    assert await desk.refusal(OPAQUE) == "invalid_token"


@pytest.mark.parametrize("error", [httpx2.ConnectError("no"), httpx2.ReadTimeout("late")])
async def test_an_opaque_token_nobody_can_tell_about_is_unavailable_not_invalid(error: Exception) -> None:
    desk = Desk(introspected=lambda: error)

    assert await desk.refusal(OPAQUE) == "unavailable"
    assert (await desk.decide(a_token())).granted


@pytest.mark.parametrize(
    "told", [{"active": "true", **claims()}, {"active": True}, {"active": True, "sub": 5}]
)
async def test_an_answer_of_another_form_grants_nothing(told: Any) -> None:
    desk = Desk(introspected=lambda: told)

    assert await desk.refusal(OPAQUE) == "invalid_token"


async def test_a_plan_that_is_too_old_decides_nothing_new() -> None:
    desk = Desk(now=NOW + 24 * 3600 + 1)

    assert await desk.refusal(a_token(exp=NOW + 10**6)) == "unavailable"
    desk.state.contacted_at = desk.now
    assert (await desk.decide(a_token(exp=NOW + 10**6))).granted


async def test_a_token_with_more_than_a_map_can_hold_is_still_answered() -> None:
    scope = " ".join(f"scope-{number:04d}" for number in range(1_000))
    desk = Desk(introspected=lambda: {"active": True, **claims(scope=scope)})

    assert (await desk.decide(OPAQUE)).granted
