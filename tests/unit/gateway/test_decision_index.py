"""What the agent deletes when the plan changes: exactly what rests on it."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.gateway.builders import (
    NOW,
    a_client,
    a_gateway_plan,
    a_key,
    a_plan,
    a_subscription,
    an_api,
    an_application,
    an_organization,
    claims,
    sha256,
)

from ostiary.gateway.haproxy import Decision, MapEntry, decision_entry
from ostiary.gateway.node.authorize import Refused, authorize
from ostiary.gateway.node.index import EVERYBODY, DecisionIndex
from ostiary.gateway.node.tokens import Claims, read_claims
from ostiary.gateway.plan import (
    Backend,
    Entry,
    Epoch,
    GatewayPlan,
    Limit,
    Resource,
    Revocation,
    epoch_id,
    to_wire,
)

WORLD = a_gateway_plan(
    an_api("api2"),
    an_application("app2"),
    a_client("web", "app2"),
    a_plan("tiny", requests=5),
    a_subscription("sub2", api_id="api2"),
    a_subscription("sub3", application_id="app2", plan_id="tiny"),
    a_key(kid="k3", state="retiring"),
)
TOKENS: list[tuple[Claims, str]] = [
    (read_claims(claims(client_id=client, jti=jti, family=family, sub=sub, scope=scope, epoch=5), kid), api)
    for client, jti, family, sub, scope, kid, api in (
        ("mobile", "t1", "f1", "alice", "read write", "k1", "api"),
        ("mobile", "t1", "f1", "alice", "read write", "k1", "api2"),
        ("mobile", "t2", "f2", "bob", "read", "k3", "api"),
        ("web", "t3", "f3", "alice", "write", "k1", "api"),
        ("web", "t4", None, "web", "default", None, "api"),
    )
]


def decided(plan: GatewayPlan, token: Claims, api: str) -> tuple[Decision, str, str]:
    grant = authorize(plan, api, token, NOW)
    decision = Decision(
        api_id=api,
        credential_sha256=sha256(token.token_id),
        expires_at=NOW + 900,
        epoch=token.epoch,
        organization_id=grant.organization.id,
        subject=token.subject,
        client_id=token.client_id,
        application_id=grant.application.id,
        key_type=grant.client.key_type,
        scopes=frozenset(token.scopes),
        quota=None,
        assertion="a.b.c",
        token_id=token.token_id,
        family=token.family or "",
        kid=token.kid or "",
        plan=grant.plan.name,
    )
    return decision, grant.subscription.id, grant.plan.id


def an_index(largest: int = 100_000) -> DecisionIndex:
    index = DecisionIndex(largest)
    for token, api in TOKENS:
        index.add(*decided(WORLD, token, api))
    return index


def key_of(token: Claims, api: str) -> str:
    return decision_entry(decided(WORLD, token, api)[0])[1]


def deleted(change: Entry) -> set[tuple[str, str]]:
    """(token id, API) of the decisions a change ends."""
    after = WORLD.apply(8, [change])
    gone = {entry.key for entry in an_index().invalidate(WORLD, after, [(change.kind, change.id)])}
    return {(token.token_id, api) for token, api in TOKENS if key_of(token, api) in gone}


def an_epoch(kind: str, key: str, minimum: int) -> Entry:
    organization = "org-my_company"
    return to_wire(Epoch(epoch_id(organization, kind, key), organization, kind, key, minimum))


ALL = {("t1", "api"), ("t1", "api2"), ("t2", "api"), ("t3", "api"), ("t4", "api")}


@pytest.mark.parametrize(
    ("change", "ended"),
    [
        (to_wire(Revocation("token:t1", NOW + 9)), {("t1", "api"), ("t1", "api2")}),
        (to_wire(Revocation("family:f2", NOW + 9)), {("t2", "api")}),
        (to_wire(Revocation("token:f2", NOW + 9)), set()),
        (an_epoch("client", "web", 6), {("t3", "api"), ("t4", "api")}),
        (an_epoch("subject", "alice", 6), {("t1", "api"), ("t1", "api2"), ("t3", "api")}),
        (an_epoch("subject", "web", 6), {("t4", "api")}),
        (an_epoch("scope", "write", 6), {("t1", "api"), ("t1", "api2"), ("t3", "api")}),
        (an_epoch("application", "app2", 6), {("t3", "api"), ("t4", "api")}),
        (an_epoch("organization", "org-my_company", 6), ALL),
        (an_epoch("client", "web", 5), set()),
        (Entry("subscription", "sub2", None), {("t1", "api2")}),
        (
            to_wire(a_subscription("sub3", application_id="app2", plan_id="gold")),
            {("t3", "api"), ("t4", "api")},
        ),
        (to_wire(a_subscription(state="BLOCKED")), {("t1", "api"), ("t2", "api")}),
        (to_wire(a_subscription()), set()),
        (Entry("application", "app2", None), {("t3", "api"), ("t4", "api")}),
        (to_wire(replace(an_application(), name="Desktop")), {("t1", "api"), ("t1", "api2"), ("t2", "api")}),
        (to_wire(a_client("web", None)), {("t3", "api"), ("t4", "api")}),
        (to_wire(a_plan("tiny", requests=6)), {("t3", "api"), ("t4", "api")}),
        (to_wire(a_plan("tiny", requests=5, burst=Limit(1, "second"))), {("t3", "api"), ("t4", "api")}),
        (to_wire(a_plan("tiny", requests=5, bandwidth=1024)), {("t3", "api"), ("t4", "api")}),
        (
            to_wire(replace(an_application("app2"), limit=Limit(10, "minute"))),
            {("t3", "api"), ("t4", "api")},
        ),
        (to_wire(an_api(limit=Limit(10, "minute"))), set()),
        (to_wire(an_api(resources=(Resource("GET", "/{id}", limit=Limit(10, "minute")),))), set()),
        (Entry("key", "k3", None), {("t2", "api")}),
        (to_wire(a_key(kid="k1", state="retiring")), set()),
        (Entry("api", "api2", None), {("t1", "api2")}),
        (to_wire(an_api(name="Renamed")), ALL - {("t1", "api2")}),
        (to_wire(an_api(backend=Backend((), ()))), ALL - {("t1", "api2")}),
        (to_wire(an_api(backend=Backend(("http://127.0.0.1:1",), ()))), set()),
        (to_wire(an_api(resources=(Resource("GET", "/x", ("write",)),))), set()),
        (to_wire(an_api(state="BLOCKED")), set()),
        (to_wire(an_api(state="PROTOTYPED")), set()),
        (to_wire(an_api(assertion_claims=("email",))), ALL - {("t1", "api2")}),
        (Entry("claims", "alice", None), set()),
        (to_wire(replace(an_organization(), issuer="https://elsewhere")), ALL),
        (to_wire(replace(an_organization("other"), issuer="https://elsewhere")), set()),
        (to_wire(an_application("app9")), set()),
    ],
    ids=lambda value: f"{value.kind} {value.id}" if isinstance(value, Entry) else None,
)
def test_a_change_ends_exactly_the_decisions_that_rest_on_it(
    change: Entry, ended: set[tuple[str, str]]
) -> None:
    assert deleted(change) == ended


def with_claims(index: DecisionIndex) -> set[str]:
    """Add the decisions, those about `api` with claims of the user; the keys of these by subject."""
    for token, api in TOKENS:
        decision, subscription, limit = decided(WORLD, token, api)
        index.add(replace(decision, has_claims=api == "api"), subscription, limit)
    return {key_of(token, api) for token, api in TOKENS if api == "api" and token.subject == "alice"}


def test_changed_claims_end_the_decisions_that_tell_them_and_no_others() -> None:
    index = DecisionIndex(100_000)
    alices = with_claims(index)

    gone = index.invalidate(WORLD, WORLD, [("claims", "alice"), ("claims", "nobody")])

    assert {entry.key for entry in gone} == alices


def test_where_nobody_can_say_whose_claims_changed_all_that_tell_some_end() -> None:
    """A complete plan stands for changes that are no longer known one by one."""
    index = DecisionIndex(100_000)
    with_claims(index)

    gone = index.invalidate(WORLD, WORLD, [EVERYBODY])

    assert {entry.key for entry in gone} == {key_of(token, api) for token, api in TOKENS if api == "api"}


def test_changed_claims_end_no_stream() -> None:
    """A stream was let through by its credential, which is as good as before."""
    index, lasting = DecisionIndex(100_000), DecisionIndex(100_000)
    stored, _ = index.add(*decided(WORLD, *TOKENS[0]))
    index.lasting = lasting
    kept = lasting.keep(replace(stored, rests_on=(*stored.rests_on, ("claims", "alice"), EVERYBODY)))

    index.invalidate(WORLD, WORLD, [("claims", "alice"), EVERYBODY])

    assert lasting.holds(kept)


_CHANGES = st.one_of(
    st.sampled_from(WORLD.entries()).map(lambda entry: Entry(entry.kind, entry.id, None)),
    st.builds(
        an_epoch,
        st.sampled_from(["client", "subject", "scope", "application"]),
        st.sampled_from(["mobile", "web", "alice", "bob", "read", "write", "app", "app2"]),
        st.integers(0, 9),
    ),
    st.sampled_from(["token:t1", "token:t2", "token:t4", "family:f1", "family:f3"]).map(
        lambda id: to_wire(Revocation(id, NOW + 9))
    ),
    st.builds(
        lambda state: to_wire(a_subscription(state=state)),
        st.sampled_from(["UNBLOCKED", "BLOCKED", "ON_HOLD", "PROD_ONLY_BLOCKED"]),
    ),
    st.sampled_from([None, "app", "app2"]).map(lambda application: to_wire(a_client("web", application))),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_CHANGES, min_size=1, max_size=6))
def test_no_decision_outlives_its_grant(changes: list[Entry]) -> None:
    """What authorization would refuse, or grant otherwise, after any changes is not stored any more."""
    index, plan = an_index(), WORLD
    for number, change in enumerate(changes, start=8):
        after = plan.apply(number, [change])
        index.invalidate(plan, after, [(change.kind, change.id)])
        plan = after

    kept = {key for name in {f"decisions-{n:02x}.map" for n in range(256)} for key, _ in index.content(name)}
    for token, api in TOKENS:
        if key_of(token, api) in kept:
            assert decided(plan, token, api) == decided(WORLD, token, api)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=120), st.integers(0, 2000))
def test_the_index_forgets_without_a_trace(numbers: list[int], until: int) -> None:
    index = DecisionIndex(256 * 3)
    template, subscription, plan = decided(WORLD, *TOKENS[0])
    for number in numbers:
        changed = replace(template, credential_sha256=f"ab{number:062x}", token_id=f"t{number}")
        index.add(replace(changed, expires_at=NOW + number * 50), subscription, plan)
        assert len(index) <= 3

    gone = index.expire(NOW + until)

    assert all(entry.value is None for entry in gone)
    index.expire(NOW + 10_000)
    assert len(index) == 0
    assert list(index._dependents) == []
    assert index._dependents._names == {}


def test_a_decision_is_one_object_to_the_garbage_collector() -> None:
    """It looks at each of 200,000, and meanwhile nobody is answered."""
    index, (template, subscription, plan) = DecisionIndex(100_000), decided(WORLD, *TOKENS[0])

    def add(numbers: range) -> int:
        for number in numbers:
            own = {"token_id": f"t{number}", "family": f"f{number}", "subject": f"s{number}"}
            index.add(replace(template, credential_sha256=sha256(f"{number}"), **own), subscription, plan)
        gc.collect()
        return len(gc.get_objects())

    before = add(range(2_000))  # every shard is there
    after = add(range(2_000, 3_000))

    assert len(index) == 3_000
    assert after - before < 1_100


def test_a_prototype_that_is_published_keeps_the_decisions_that_a_subscription_allows() -> None:
    prototype = to_wire(an_api(state="PROTOTYPED"))
    before = WORLD.apply(8, [prototype, Entry("subscription", "sub3", None)])
    index = DecisionIndex(100)
    for token, api in TOKENS:
        index.add(*decided(before, token, api))

    published = to_wire(an_api())
    gone = {entry.key for entry in index.invalidate(before, before.apply(9, [published]), [("api", "api")])}

    assert gone == {key_of(token, api) for token, api in TOKENS if token.client_id == "web"}


def test_a_full_shard_makes_room_with_its_oldest() -> None:
    index = DecisionIndex(256)
    template, *rest = decided(WORLD, *TOKENS[0])
    first = replace(template, credential_sha256="00" + "1" * 62)
    second = replace(template, credential_sha256="00" + "2" * 62)
    other_shard = replace(template, credential_sha256="01" + "1" * 62)

    index.add(first, *rest)
    assert index.add(other_shard, *rest)[1] == []
    _, room = index.add(second, *rest)

    assert room == [MapEntry(*decision_entry(first)[:2], None)]
    assert len(index) == 2


def test_deciding_again_replaces_and_evicts_nobody() -> None:
    index = an_index()
    before = len(index)

    stored, room = index.add(*decided(WORLD, *TOKENS[0]))

    assert (room, len(index), index.holds(stored)) == ([], before, True)


def test_a_complete_plan_that_says_the_same_ends_nothing() -> None:
    touched: list[Any] = [(entry.kind, entry.id) for entry in WORLD.entries()]
    same = GatewayPlan().apply(9, WORLD.entries())

    assert an_index().invalidate(WORLD, same, touched) == []


def test_a_decision_cannot_be_made_of_a_refusal() -> None:
    with pytest.raises(Refused):
        decided(WORLD.apply(8, [Entry("client", "web", None)]), *TOKENS[3])


def test_what_was_forgotten_leaves_nothing_behind() -> None:
    """Decisions that make room, or end with a revocation, are many more than those that stand."""
    index = DecisionIndex(256)
    decision, *about = decided(WORLD, *TOKENS[0])

    def store(number: int) -> None:
        index.add(replace(decision, credential_sha256=sha256(str(number))), *about)

    for number in range(2_000):
        store(number)
    tracemalloc.start()
    try:
        for number in range(2_000, 12_000):
            store(number)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(index) <= 256
    assert grown < 2_000_000
    assert len(index.expire(NOW + 900)) <= 256
    assert len(index) == 0
