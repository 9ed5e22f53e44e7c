"""The gateway plan: changes, wire form, and what a node does with what it does not know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ostiary.gateway.plan import (
    NEVER,
    Backend,
    BadPlan,
    Entry,
    GatewayPlan,
    PlanAnswer,
    Resource,
    Thing,
    read,
    to_wire,
)
from ostiary.gateway.plan.wire import SLOT

ORGANIZATION = {
    "name": "my_company",
    "issuer": "https://x/t/my_company",
    "audience": "https://x/t/my_company/gateway",
}
API = {
    "organization_id": "org",
    "name": "Orders",
    "context": "/orders",
    "version": "1.0.0",
    "state": "PUBLISHED",
    "backend": {"production": ["http://127.0.0.1:9701"]},
    "resources": [{"method": "GET", "path": "/{id}", "scopes": ["orders:read"]}],
}
VALUES: dict[str, tuple[str, dict[str, Any]]] = {
    "organization": ("org", ORGANIZATION),
    "api": ("api", API),
    "application": (
        "app",
        {"organization_id": "org", "name": "Mobile", "owner": "bob@my_company", "tier": "Unlimited"},
    ),
    "client": ("mobile", {"organization_id": "org", "application_id": None, "key_type": "PRODUCTION"}),
    "subscription": (
        "sub",
        {
            "organization_id": "org",
            "application_id": "app",
            "api_id": "api",
            "plan_id": "gold",
            "state": "UNBLOCKED",
        },
    ),
    "plan": ("gold", {"organization_id": "org", "name": "Gold", "requests": None, "per": "minute"}),
    "key": ("k1", {"organization_id": "org", "jwk": {"kty": "EC"}, "state": "active"}),
    "epoch": ("org:client:mobile", {"minimum": 4}),
    "revocation": ("token:abc", {"expires_at": 1_900_000_000}),
    "node": ("n1", {"rotation": 2}),
}
EVERYTHING = [Entry(kind, id, value) for kind, (id, value) in VALUES.items()]
WHOLE = GatewayPlan().apply(7, EVERYTHING)


@pytest.mark.parametrize("kind", VALUES)
def test_every_kind_survives_the_wire(kind: str) -> None:
    id, value = VALUES[kind]

    assert to_wire(read(Entry(kind, id, value))) == Entry(kind, id, value)


@pytest.mark.parametrize(
    "thing", [thing for slot in SLOT.values() for thing in getattr(WHOLE, slot).values()]
)
def test_every_thing_is_read_as_it_was_written(thing: Thing) -> None:
    assert read(to_wire(thing)) == thing


def test_what_has_its_default_is_not_on_the_wire() -> None:
    """A node of the previous version must not meet a field that it need not know."""
    api = replace(WHOLE.apis["api"], backend=Backend(), resources=(Resource("GET", "/"),))

    written = to_wire(api).value

    assert written is not None
    assert written["backend"] == {}
    assert written["resources"] == [{"method": "GET", "path": "/"}]


def test_what_is_not_on_the_wire_has_its_default() -> None:
    said = {**API, "backend": {}, "resources": [{"method": "GET", "path": "/"}]}

    api = read(Entry("api", "api", said))

    assert api == replace(WHOLE.apis["api"], backend=Backend(), resources=(Resource("GET", "/"),))


def test_a_field_without_a_default_has_to_be_there() -> None:
    said = {name: value for name, value in API.items() if name != "state"}

    with pytest.raises(BadPlan, match="state"):
        read(Entry("api", "api", said))


def test_a_plan_rebuilt_from_its_entries_is_the_same_plan() -> None:
    assert GatewayPlan().apply(7, WHOLE.entries()) == WHOLE


def test_an_answer_survives_the_wire() -> None:
    answer = PlanAnswer(7, True, tuple(EVERYTHING))

    assert PlanAnswer.from_wire(answer.to_wire()) == answer


def test_applying_leaves_the_earlier_plan_as_it_was() -> None:
    later = WHOLE.apply(8, [Entry("api", "api", None)])

    assert (later.number, dict(later.apis)) == (8, {})
    assert (WHOLE.number, set(WHOLE.apis)) == (7, {"api"})


def test_a_resource_is_read_with_its_scopes() -> None:
    assert WHOLE.apis["api"].resources == (Resource("GET", "/{id}", ("orders:read",)),)


def test_the_subscription_of_an_application_is_found_until_it_is_removed() -> None:
    found = WHOLE.subscription("app", "api")

    assert found is not None
    assert found.id == "sub"
    assert WHOLE.apply(8, [Entry("subscription", "sub", None)]).subscription("app", "api") is None


def test_a_subscription_that_replaces_another_is_found_in_any_order() -> None:
    """Unsubscribe and subscribe again arrive together: the removal must not hide the new one."""
    again = Entry("subscription", "sub2", VALUES["subscription"][1])
    gone = Entry("subscription", "sub", None)

    for order in ([again, gone], [gone, again]):
        found = WHOLE.apply(8, order).subscription("app", "api")
        assert found is not None
        assert found.id == "sub2"


def test_a_minimum_never_set_is_zero() -> None:
    assert WHOLE.minimum("org", "client", "mobile") == 4
    assert WHOLE.minimum("org", "subject", "mobile") == 0


def test_a_plan_that_is_understood_refuses_nothing() -> None:
    assert WHOLE.refusals(WHOLE.apis["api"]) == frozenset()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mutual_tls": True}, "mutual_tls"),
        (
            {"resources": [{"method": "GET", "path": "/", "scopes": [], "only_from": "10.0.0.0/8"}]},
            "resources.only_from",
        ),
        ({"backend": {"production": [], "sandbox": [], "pin": "abc"}}, "backend.pin"),
    ],
)
def test_a_restriction_the_node_does_not_know_refuses_the_api(change: dict[str, Any], reason: str) -> None:
    plan = WHOLE.apply(8, [Entry("api", "api", {**API, **change})])

    assert plan.refusals(plan.apis["api"]) == frozenset({reason})


def test_information_marked_as_optional_is_ignored() -> None:
    plan = WHOLE.apply(8, [Entry("api", "api", {**API, "optional": {"description": "Orders"}})])

    assert plan.apis == WHOLE.apis


@pytest.mark.parametrize(
    "value",
    [{"api_id": "api"}, {"organization_id": "org"}, {"what": "ever"}],
    ids=["api", "organization", "everything"],
)
def test_an_entry_of_an_unknown_kind_refuses_what_it_is_about(value: dict[str, Any]) -> None:
    plan = WHOLE.apply(8, [Entry("deny_policy", "d1", value)])

    assert plan.refusals(plan.apis["api"]) == frozenset({"deny_policy"})
    lifted = plan.apply(9, [Entry("deny_policy", "d1", None)])
    assert lifted.refusals(lifted.apis["api"]) == frozenset()


def test_an_unknown_kind_about_another_organization_refuses_nothing_here() -> None:
    plan = WHOLE.apply(8, [Entry("deny_policy", "d1", {"organization_id": "other"})])

    assert plan.refusals(plan.apis["api"]) == frozenset()


def test_an_api_that_cannot_be_read_is_left_out_and_the_rest_applies() -> None:
    plan = WHOLE.apply(
        8, [Entry("api", "api", {**API, "context": 5}), Entry("revocation", "token:x", {"expires_at": 9})]
    )

    assert dict(plan.apis) == {}
    assert plan.unreadable == {("api", "api"): "api api: context is not a str"}
    assert "token:x" in plan.revocations


def test_an_api_that_can_be_read_again_is_no_longer_unreadable() -> None:
    plan = WHOLE.apply(8, [Entry("api", "api", {})]).apply(9, [Entry("api", "api", API)])

    assert plan.apis == WHOLE.apis
    assert plan.unreadable == {}


def test_an_unreadable_minimum_or_expiry_fails_closed() -> None:
    plan = WHOLE.apply(
        8, [Entry("epoch", "org:client:mobile", {}), Entry("revocation", "token:abc", {"expires_at": "x"})]
    )

    assert plan.minimum("org", "client", "mobile") == NEVER
    assert plan.revocations["token:abc"].expires_at == NEVER


def test_an_epoch_of_nobody_refuses_the_whole_change() -> None:
    with pytest.raises(BadPlan):
        WHOLE.apply(8, [Entry("epoch", "nonsense", {"minimum": 1})])


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"schema_version": 2, "number": 1, "complete": True, "entries": []},
        {"schema_version": 1, "number": True, "complete": True, "entries": []},
        {
            "schema_version": 1,
            "number": 1,
            "complete": True,
            "entries": [{"kind": "api", "id": 3, "value": None}],
        },
        {
            "schema_version": 1,
            "number": 1,
            "complete": True,
            "entries": [{"kind": "api", "id": "a", "value": []}],
        },
    ],
)
def test_a_document_of_another_form_is_a_bad_plan(document: object) -> None:
    with pytest.raises(BadPlan):
        PlanAnswer.from_wire(document)


def test_a_complete_answer_forgets_what_it_does_not_name() -> None:
    answer = PlanAnswer(9, True, (Entry("organization", "org", ORGANIZATION),))

    assert answer.next_plan(WHOLE) == GatewayPlan().apply(9, answer.entries)
