"""Which token may call which API: every refusal, and what a grant holds."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.gateway.builders import (
    NOW,
    a_client,
    a_gateway_plan,
    a_plan,
    a_subscription,
    an_api,
    an_application,
    claims,
)

from ostiary.gateway.haproxy import AGENT_REFUSALS
from ostiary.gateway.node.authorize import Refused, authorize
from ostiary.gateway.node.tokens import Claims, read_claims
from ostiary.gateway.plan import (
    Backend,
    Entry,
    Epoch,
    GatewayPlan,
    Kind,
    Revocation,
    Thing,
    epoch_id,
    to_wire,
)

SUBJECT = "5b0e5c0e-0000-4000-8000-000000000001"


def token(kid: str | None = "k1", **changes: Any) -> Claims:
    return read_claims(claims(**changes), kid)


def an_epoch(kind: str, key: str, minimum: int, organization: str = "org-my_company") -> Epoch:
    return Epoch(epoch_id(organization, kind, key), organization, kind, key, minimum)


def refusal(plan: GatewayPlan, presented: Claims, api: str = "api") -> str:
    with pytest.raises(Refused) as caught:
        authorize(plan, api, presented, NOW)
    return caught.value.refusal


def test_a_subscribed_application_may_call() -> None:
    plan = a_gateway_plan()
    presented = token()

    grant = authorize(plan, "api", presented, NOW)

    assert grant.claims is presented
    assert (grant.api.id, grant.client.id, grant.application.id) == ("api", "mobile", "app")
    assert (grant.subscription.id, grant.plan.id, grant.organization.name) == ("sub", "gold", "my_company")


def test_an_opaque_token_is_judged_by_the_same_checks() -> None:
    assert authorize(a_gateway_plan(), "api", token(kid=None), NOW).client.id == "mobile"


@pytest.mark.parametrize(
    "changes",
    [
        {"organization": "other"},
        {"iss": "https://evil.example/t/my_company"},
        {"iss": "https://ostiary.example/t/my_company/"},
        {"org": "other"},
        {"aud": "https://ostiary.example/t/my_company/management"},
        {"aud": ["https://ostiary.example/t/other/gateway"]},
        {"aud": []},
        {"exp": NOW},
        {"exp": NOW - 1},
        {"nbf": NOW + 1},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_gateway_now_is_invalid(changes: dict[str, Any]) -> None:
    """RFC 9068 §4, RFC 7519 §4.1."""
    assert refusal(a_gateway_plan(), token(**changes)) == "invalid_token"


def test_a_token_for_several_audiences_is_good_when_the_gateway_is_one() -> None:
    audience = [
        "https://ostiary.example/t/my_company/management",
        "https://ostiary.example/t/my_company/gateway",
    ]

    assert authorize(a_gateway_plan(), "api", token(aud=audience), NOW).client.id == "mobile"


def test_a_token_signed_by_another_organizations_key_is_invalid() -> None:
    """The other organization's key is genuine, and says what it likes."""
    assert refusal(a_gateway_plan(), token(kid="k2")) == "invalid_token"


def test_a_token_whose_key_was_withdrawn_is_invalid() -> None:
    plan = a_gateway_plan().apply(8, [Entry("key", "k1", None)])

    assert refusal(plan, token()) == "invalid_token"


def test_another_organizations_token_opens_no_api_here() -> None:
    api = an_api("theirs", "other")

    assert refusal(a_gateway_plan(api), token(), "theirs") == "invalid_token"


@pytest.mark.parametrize("id", ["token:jti-1", "family:family-1"])
def test_a_revoked_token_or_family_is_invalid(id: str) -> None:
    """RFC 7009 §2.1."""
    assert refusal(a_gateway_plan(Revocation(id, NOW + 10)), token()) == "invalid_token"


def test_a_revocation_of_another_token_refuses_nothing() -> None:
    plan = a_gateway_plan(Revocation("token:family-1", NOW + 10), Revocation("family:jti-1", NOW + 10))

    assert authorize(plan, "api", token(), NOW)


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("client", "mobile"),
        ("subject", SUBJECT),
        ("organization", "org-my_company"),
        ("application", "app"),
        ("scope", "orders:read"),
        ("scope", "orders:write"),
    ],
)
def test_a_token_issued_before_something_was_narrowed_is_invalid(kind: str, key: str) -> None:
    assert refusal(a_gateway_plan(an_epoch(kind, key, 6)), token(epoch=5)) == "invalid_token"
    assert authorize(a_gateway_plan(an_epoch(kind, key, 6)), "api", token(epoch=6), NOW)


def test_what_was_narrowed_for_others_refuses_nothing() -> None:
    others = (
        an_epoch("client", "web", 9),
        an_epoch("subject", "mobile", 9),
        an_epoch("scope", "orders:delete", 9),
        an_epoch("client", "mobile", 9, "org-other"),
        an_epoch("organization", "org-other", 9, "org-other"),
    )

    assert authorize(a_gateway_plan(*others), "api", token(epoch=5), NOW)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (a_subscription(state="BLOCKED"), "subscription_blocked"),
        (a_subscription(state="PROD_ONLY_BLOCKED"), "subscription_blocked"),
        (a_subscription(state="ON_HOLD"), "subscription_inactive"),
        (a_subscription(state="REJECTED"), "subscription_inactive"),
        (a_subscription(state="SOMETHING_NEW"), "subscription_inactive"),
        (a_subscription(api_id="elsewhere"), "not_subscribed"),
        (a_subscription(application_id="elsewhere"), "not_subscribed"),
        (a_subscription(organization_id="org-other"), "not_subscribed"),
        (a_subscription(plan_id="lost"), "unavailable"),
        (a_client(application=None), "not_subscribed"),
        (a_client(application="lost"), "not_subscribed"),
        (a_client(organization_id="org-other"), "invalid_token"),
        (an_application(organization="other"), "not_subscribed"),
        (a_client(key_type="SANDBOX"), "invalid_token"),
        (an_api(backend=Backend((), ("http://127.0.0.1:9702",))), "invalid_token"),
        (a_plan(per="fortnight"), "unavailable"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value)[:60],
)
def test_what_stands_between_an_application_and_an_api_is_refused_by_its_name(
    changed: Thing, expected: str
) -> None:
    found = refusal(a_gateway_plan(changed), token())

    assert found == expected
    assert found in AGENT_REFUSALS


def test_sandbox_keys_pass_while_production_is_blocked() -> None:
    plan = a_gateway_plan(
        a_client(key_type="SANDBOX"),
        a_subscription(state="PROD_ONLY_BLOCKED"),
        an_api(backend=Backend(("http://127.0.0.1:9701",), ("http://127.0.0.1:9702",))),
    )

    assert authorize(plan, "api", token(), NOW).client.key_type == "SANDBOX"


def test_a_client_unknown_here_is_not_subscribed() -> None:
    assert refusal(a_gateway_plan(), token(client_id="web")) == "not_subscribed"


def test_an_api_unknown_here_is_unavailable() -> None:
    assert refusal(a_gateway_plan(), token(), "unknown") == "unavailable"


def test_an_api_of_an_organization_that_is_gone_is_refused() -> None:
    """Its own entries go after it, one by one."""
    plan = a_gateway_plan()
    gone = [Entry(Kind.ORGANIZATION, id, None) for id in plan.organizations]

    assert refusal(plan.apply(plan.number + 1, gone), token()) == "unavailable"


@pytest.mark.parametrize("kind", ["api", "organization", "application", "client", "subscription", "plan"])
def test_a_restriction_unknown_here_refuses_instead_of_being_skipped(kind: str) -> None:
    plan = a_gateway_plan()
    ids = {"organization": "org-my_company", "application": "app", "client": "mobile", "subscription": "sub"}
    id = ids.get(kind, "gold" if kind == "plan" else "api")
    known = next(entry for entry in plan.entries() if (entry.kind, entry.id) == (kind, id))
    restricted = Entry(kind, id, {**(known.value or {}), "only_on_sundays": True})

    assert refusal(plan.apply(8, [restricted]), token()) == "unavailable"


def test_one_changed_thing_changes_the_answer() -> None:
    """A decision is about this token and this API; nothing else can be put in its place."""
    good = claims()
    plan = a_gateway_plan(an_api("api2"))
    assert authorize(plan, "api", read_claims(good, "k1"), NOW)

    for name in ("iss", "org", "aud", "client_id"):
        with pytest.raises(Refused):
            authorize(plan, "api", read_claims({**good, name: "something-else"}, "k1"), NOW)
    for kid, api in (("k2", "api"), ("k1", "api2"), ("k3", "api")):
        with pytest.raises(Refused):
            authorize(plan, api, read_claims(good, kid), NOW)


def test_every_entry_of_the_builders_plan_is_readable() -> None:
    plan = a_gateway_plan()

    assert [entry for entry in plan.entries() if entry == to_wire(plan.apis["api"])]
    assert plan.unreadable == {}
