"""Limits from the wire to what decisions and maps say; what is not understood is refused."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.gateway.builders import NOW, a_gateway_plan, a_plan, an_api, an_application, claims

from ostiary.gateway.haproxy import Quota, structure_maps, unsupported
from ostiary.gateway.node.authorize import Refused, authorize
from ostiary.gateway.node.decide import quotas
from ostiary.gateway.node.tokens import read_claims
from ostiary.gateway.plan import BadPlan, Entry, Limit, Resource, Thing, read, to_wire

FEW = Limit(5, "minute")
LIMITED: dict[str, Thing] = {
    "plan": a_plan(burst=Limit(2, "second"), bandwidth=10_000),
    "application": replace(an_application(), tier="20PerMin", limit=Limit(20, "minute")),
    "api": an_api(limit=FEW, resources=(Resource("GET", "/{id}", limit=FEW), Resource("POST", "/"))),
}


@pytest.mark.parametrize("kind", LIMITED)
def test_limits_survive_the_wire(kind: str) -> None:
    assert read(to_wire(LIMITED[kind])) == LIMITED[kind]


def test_what_has_no_limit_says_nothing_of_one() -> None:
    for thing in (a_plan(), an_application(), an_api()):
        assert not {"limit", "burst", "bandwidth"} & set(to_wire(thing).value or {})
    assert "limit" not in (to_wire(an_api()).value or {})["resources"][0]


def _said(kind: str, **changes: Any) -> Entry:
    thing: Thing = {"plan": a_plan(), "application": an_application(), "api": an_api()}[kind]
    entry = to_wire(thing)
    return Entry(entry.kind, entry.id, {**(entry.value or {}), **changes})


@pytest.mark.parametrize(
    "entry",
    [
        _said("plan", burst={"requests": 1, "per": "second", "on": "sundays"}),
        _said("application", limit={"requests": 1, "per": "minute", "on": "sundays"}),
    ],
)
def test_a_limit_with_more_than_this_node_knows_refuses_calls(entry: Entry) -> None:
    plan = a_gateway_plan().apply(8, [entry])

    with pytest.raises(Refused) as refused:
        authorize(plan, "api", read_claims(claims(), "k1"), NOW)

    assert refused.value.refusal == "unavailable"
    assert ".on" in refused.value.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"limit": {"requests": 1, "per": "minute", "on": "sundays"}},
        {"limit": {"requests": 1, "per": "fortnight"}},
        {"resources": [{"method": "GET", "path": "/", "limit": {"requests": 1, "per": "fortnight"}}]},
        {
            "resources": [
                {"method": "GET", "path": "/", "limit": {"requests": 1, "per": "day", "on": "sundays"}}
            ]
        },
    ],
)
def test_an_api_whose_limit_is_not_understood_is_refused(changes: dict[str, Any]) -> None:
    plan = a_gateway_plan().apply(8, [_said("api", **changes)])

    assert unsupported(plan, plan.apis["api"]) is not None


@pytest.mark.parametrize(
    "limit", [5, "10KPerMin", {}, {"requests": "5", "per": "day"}, {"requests": True, "per": "day"}]
)
def test_a_limit_of_another_form_is_a_bad_plan(limit: Any) -> None:
    with pytest.raises(BadPlan):
        read(_said("api", limit=limit))


@pytest.mark.parametrize(
    "thing",
    [
        a_plan(burst=Limit(1, "fortnight")),
        a_plan(requests=None, per="fortnight", bandwidth=1024),
        replace(an_application(), limit=Limit(1, "fortnight")),
    ],
)
def test_a_period_this_node_does_not_count_in_refuses_calls(thing: Thing) -> None:
    plan = a_gateway_plan(thing)

    with pytest.raises(Refused, match="fortnight"):
        authorize(plan, "api", read_claims(claims(), "k1"), NOW)


def test_a_grant_is_counted_by_subscription_and_by_user_of_the_application() -> None:
    plan = a_gateway_plan(*LIMITED.values())

    counted = quotas(authorize(plan, "api", read_claims(claims(sub="alice"), "k1"), NOW))
    by_bob = quotas(authorize(plan, "api", read_claims(claims(sub="bob"), "k1"), NOW))

    application = counted.pop("application")
    assert counted == {
        "quota": Quota("sub", 5000, "minute"),
        "burst": Quota("burst:sub", 2, "second"),
        "bandwidth": Quota("sub", 10, "minute"),
    }
    assert application is not None
    assert (application.requests, application.per) == (20, "minute")
    assert application.key.startswith("app:")
    assert by_bob["application"] == replace(application, key=by_bob["application"].key)  # type: ignore[union-attr]
    assert by_bob["application"] != application


def test_an_unlimited_grant_is_counted_nowhere() -> None:
    plan = a_gateway_plan(a_plan(requests=None))

    assert quotas(authorize(plan, "api", read_claims(claims(), "k1"), NOW)) == {"quota": None}


def test_shared_limits_are_in_the_maps_and_nowhere_else() -> None:
    maps = structure_maps(a_gateway_plan(LIMITED["api"]), lambda *_: ())

    (resources,) = [value for name in maps if name.startswith("resources") for value in maps[name].values()]
    (route,) = [value for name in maps if name.startswith("routes") for value in maps[name].values()]
    assert route.endswith("|limit=5+minute")
    assert resources == "GET:/{}::limit=5+minute+35ba40e0a14f19a0|POST:/:"
