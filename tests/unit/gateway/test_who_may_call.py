"""API keys, deny policies and prototypes, as a node decides by its plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.gateway.builders import (
    NOW,
    a_gateway_plan,
    a_plan,
    a_subscription,
    an_api,
    claims,
)

from ostiary.gateway.haproxy.maps import structure_changes, structure_maps
from ostiary.gateway.node.authorize import Grant, Refused, authorize, authorize_key
from ostiary.gateway.node.tokens import read_claims
from ostiary.gateway.plan import APIKey, Denial, Entry, GatewayPlan, Thing, read, to_wire

HASH = "ab" * 32
TAKES_KEYS = an_api(security=("oauth2", "api_key"))


def a_key(**changes: Any) -> APIKey:
    values = {
        "organization_id": "org-my_company",
        "application_id": "app",
        "key_type": "PRODUCTION",
        **changes,
    }
    return APIKey(id=HASH, **values)


def a_denial(condition: str, value: str, **changes: Any) -> Denial:
    values = {"organization_id": "org-my_company", **changes}
    return Denial(id=f"{condition} {value}", condition=condition, value=value, **values)


def refusal_of_key(*things: Thing, api: str = "api") -> str:
    with pytest.raises(Refused) as caught:
        authorize_key(a_gateway_plan(TAKES_KEYS, *things), api, HASH, NOW)
    return caught.value.refusal


def by_token(plan: GatewayPlan, **changes: Any) -> Grant:
    return authorize(plan, "api", read_claims(claims(**changes), "k1"), NOW)


def refusal_of_token(plan: GatewayPlan, **changes: Any) -> str:
    with pytest.raises(Refused) as caught:
        by_token(plan, **changes)
    return caught.value.refusal


def test_a_key_stands_for_its_application() -> None:
    grant = authorize_key(a_gateway_plan(TAKES_KEYS, a_key()), "api", HASH, NOW)

    assert (grant.application.id, grant.client.key_type, grant.claims.scopes) == ("app", "PRODUCTION", ())
    assert (grant.claims.usertype, grant.claims.username) == ("APPLICATION", None)


@pytest.mark.parametrize(
    ("things", "refused"),
    [
        ([], "invalid_token"),
        ([a_key(expires_at=NOW)], "invalid_token"),
        ([a_key(organization_id="org-other")], "invalid_token"),
        ([a_key(organization_id="gone")], "invalid_token"),
        ([a_key(application_id="nobody")], "not_subscribed"),
        ([a_key(key_type="SANDBOX")], "invalid_token"),  # no such backend
        ([a_key(unsupported=frozenset({"only_on_mondays"}))], "unavailable"),
        ([a_key(), an_api()], "invalid_token"),
        ([a_key(), a_subscription(state="BLOCKED")], "subscription_blocked"),
        ([a_key(), a_denial("APPLICATION", "app")], "denied_caller"),
    ],
    ids=lambda one: one if isinstance(one, str) else None,
)
def test_a_key_is_refused(things: list[Thing], refused: str) -> None:
    plan = a_gateway_plan(TAKES_KEYS, *things)
    if things and isinstance(things[0], APIKey) and things[0].unsupported:
        value = {**(to_wire(a_key()).value or {}), "only_on_mondays": True}
        plan = plan.apply(8, [Entry("api_key", HASH, value)])

    with pytest.raises(Refused) as caught:
        authorize_key(plan, "api", HASH, NOW)

    assert caught.value.refusal == refused


def test_a_key_without_subscription_is_refused() -> None:
    assert refusal_of_key(a_key(), an_api("other", security=("api_key",)), api="other") == "not_subscribed"


def test_an_api_of_keys_alone_takes_no_token() -> None:
    assert refusal_of_token(a_gateway_plan(an_api(security=("api_key",)))) == "invalid_token"


def test_a_node_that_knows_no_api_keys_ignores_them() -> None:
    """They are grants: an older node must not take them for restrictions."""
    value = to_wire(a_key()).value

    assert value is not None
    assert value["optional"] is True
    plan = a_gateway_plan().apply(8, [Entry("kind_of_tomorrow", "x", value)])
    assert plan.refusals(plan.apis["api"]) == frozenset()


@pytest.mark.parametrize("thing", [a_key(addresses=("10.0.0.0/8",)), a_denial("IP", "::1-::2", invert=True)])
def test_it_survives_the_wire(thing: Thing) -> None:
    assert read(to_wire(thing)) == thing


@pytest.mark.parametrize(
    ("denial", "changes", "refused"),
    [
        (a_denial("USER", "EXTERNAL/testuser@my_company"), {}, True),
        (a_denial("USER", "testuser@my_company"), {}, False),  # of PRIMARY: somebody else
        (a_denial("USER", "testuser@my_company"), {"store": "PRIMARY"}, True),
        (a_denial("USER", "EXTERNAL/testuser@my_company", organization_id="org-other"), {}, False),
        (a_denial("USER", "bob@my_company"), {"username": None, "store": None, "aut": "APPLICATION"}, False),
        (a_denial("APPLICATION", "app"), {}, True),
        (a_denial("APPLICATION", "other"), {}, False),
    ],
)
def test_a_deny_policy_is_about_exactly_whom_it_names(
    denial: Denial, changes: dict[str, Any], refused: bool
) -> None:
    plan = a_gateway_plan(denial)

    if refused:
        assert refusal_of_token(plan, **changes) == "denied_caller"
        lifted = plan.apply(8, [Entry("denial", denial.id, None)])
        assert by_token(lifted, **changes)
    else:
        assert by_token(plan, **changes)


@pytest.mark.parametrize(
    "value",
    [
        {"condition": "HEADER", "value": "x"},
        {"condition": "IP", "value": "nowhere"},
        {"condition": "IP", "value": "192.0.2.9-192.0.2.1"},
        {"condition": "IP", "value": "192.0.2.1-2001:db8::1"},
        {"condition": "USER"},
        {"condition": "USER", "value": "bob@my_company", "until": 5},
    ],
)
def test_a_denial_that_is_not_understood_refuses_the_whole_organization(value: dict[str, Any]) -> None:
    """Left out it would allow calls."""
    before = a_gateway_plan()
    entry = Entry("denial", "d", {"organization_id": "org-my_company", **value})

    after = before.apply(8, [entry])

    assert after.refusals(after.apis["api"]) == frozenset({"denial"})
    changed = structure_changes(before, after, [("denial", "d")], lambda *_: ())
    assert any("|UNSUPPORTED|" in (one.value or "") for one in changed)
    lifted = after.apply(9, [Entry("denial", "d", None)])
    assert lifted.refusals(lifted.apis["api"]) == frozenset()
    back = structure_changes(after, lifted, [("denial", "d")], lambda *_: ())
    assert any("|PUBLISHED|" in (one.value or "") for one in back)


def test_a_denial_of_an_api_changes_that_route_alone() -> None:
    before = a_gateway_plan(an_api("other"))
    after = before.apply(8, [to_wire(a_denial("API", "api"))])

    changed = structure_changes(before, after, [("denial", "API api")], lambda *_: ())

    assert {one.key for one in changed if one.map.startswith("routes")} == {"my_company/api/1.0.0/"}
    assert any("|DENIED|" in (one.value or "") for one in changed)


def test_the_default_version_moves_in_one_step() -> None:
    one, two = an_api("v1", context="/shop", default_version=True), an_api("v2", context="/shop", version="2")
    before = a_gateway_plan(one, two)
    moved = [replace(one, default_version=False), replace(two, default_version=True)]
    after = before.apply(8, [to_wire(api) for api in moved])

    changed = structure_changes(before, after, [("api", "v1"), ("api", "v2")], lambda *_: ())

    (route,) = [one for one in changed if one.key == "my_company/shop/"]
    assert route.value is not None
    assert "|v2|" in route.value
    whole = structure_maps(after, lambda *_: ())
    assert whole[route.map][route.key] == route.value


def test_a_prototype_takes_calls_without_subscription() -> None:
    prototype = an_api("new", state="PROTOTYPED")

    grant = authorize(a_gateway_plan(prototype), "new", read_claims(claims(), "k1"), NOW)

    assert (grant.plan.name, grant.plan.requests) == ("Unlimited", None)


def test_a_subscription_to_a_prototype_counts_all_the_same() -> None:
    prototype = an_api("new", state="PROTOTYPED")
    blocked = a_subscription("s2", api_id="new", state="BLOCKED")
    plan = a_gateway_plan(prototype, blocked, a_plan("gold"))

    with pytest.raises(Refused) as caught:
        authorize(plan, "new", read_claims(claims(), "k1"), NOW)

    assert caught.value.refusal == "subscription_blocked"
