"""/api/apim/v1/plans."""

from typing import Any

import pytest
from tests.http.apim.things import Management

BUILT_IN = [("Bronze", 1000), ("Silver", 2000), ("Gold", 5000), ("Unlimited", None)]


def test_four_plans_are_built_in(acme: Management):
    assert [
        (p["name"], p["requests"], p["per"], p["built_in"]) for p in acme.ok("GET", "/plans")["items"]
    ] == [(name, requests, "minute", True) for name, requests in BUILT_IN]


def test_a_built_in_plan_has_the_same_identifier_before_its_first_use(
    acme: Management, orders: dict[str, Any]
):
    before = acme.ok("GET", "/plans")["items"]
    acme.published(orders)
    assert acme.ok("GET", "/plans")["items"] == before
    assert acme.ok("GET", f"/plans/{before[2]['id']}") == before[2]


def test_the_built_in_plans_of_two_organizations_are_different_plans(acme: Management, default: Management):
    ours = {plan["id"] for plan in acme.ok("GET", "/plans")["items"]}
    theirs = {plan["id"] for plan in default.ok("GET", "/plans")["items"]}
    assert not ours & theirs
    assert acme.refusal("GET", f"/plans/{theirs.pop()}")[0] == 404


def test_an_organization_has_plans_of_its_own(acme: Management):
    answer = acme.call("POST", "/plans", {"name": "Tiny", "requests": 5})

    assert answer.status_code == 201
    plan = answer.json()
    assert plan == {
        "id": plan["id"],
        "name": "Tiny",
        "requests": 5,
        "per": "minute",
        "burst": None,
        "bandwidth": None,
        "built_in": False,
    }
    changed = acme.ok("PUT", f"/plans/{plan['id']}", {"requests": None, "per": "day"})
    assert changed == plan | {"requests": None, "per": "day"}
    assert acme.news().count(("plan", plan["id"])) == 2
    assert acme.call("DELETE", f"/plans/{plan['id']}").status_code == 204
    assert acme.refusal("GET", f"/plans/{plan['id']}")[0] == 404


def test_a_plan_may_have_a_burst_and_a_bandwidth(acme: Management):
    limits = {"requests": 5, "per": "day", "burst": {"requests": 2, "per": "second"}, "bandwidth": "2048KB"}

    plan = acme.ok("POST", "/plans", {"name": "Tiny", **limits})

    assert plan == {"id": plan["id"], "name": "Tiny", **limits, "bandwidth": "2MB", "built_in": False}
    assert acme.ok("GET", f"/plans/{plan['id']}") == plan
    without = acme.ok("PUT", f"/plans/{plan['id']}", {"requests": 5, "per": "day"})
    assert without == plan | {"burst": None, "bandwidth": None}


def test_what_is_wrong_with_a_burst_is_said(acme: Management):
    body = {"name": "T", "requests": 1, "burst": {"requests": 5, "per": "hour"}}
    assert acme.refusal("POST", "/plans", body) == (400, "burst.per: expected second or minute, found 'hour'")


@pytest.mark.parametrize("name", ["Tiny", "Gold"])
def test_a_name_is_taken_once(acme: Management, name: str):
    acme.ok("POST", "/plans", {"name": "Tiny", "requests": 5})
    assert acme.refusal("POST", "/plans", {"name": name, "requests": 6}) == (
        409,
        f"there is a plan {name} already",
    )


def test_a_built_in_plan_stays_as_it_is(acme: Management):
    gold = next(plan for plan in acme.ok("GET", "/plans")["items"] if plan["name"] == "Gold")
    for method, body in (("PUT", {"requests": 1}), ("DELETE", None)):
        assert acme.refusal(method, f"/plans/{gold['id']}", body) == (
            409,
            "the plan Gold is built in and cannot be changed",
        )


def test_a_plan_in_use_is_not_deleted(acme: Management, orders: dict[str, Any]):
    plan = acme.ok("POST", "/plans", {"name": "Tiny", "requests": 5})
    api = acme.ok("POST", "/apis", orders | {"plans": ["Tiny"]})

    assert acme.refusal("DELETE", f"/plans/{plan['id']}") == (409, "the plan Tiny is in use")
    acme.ok("DELETE", f"/apis/{api['id']}")
    acme.ok("DELETE", f"/plans/{plan['id']}")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a b", "requests": 1},
        {"name": "T"},
        {"name": "T", "requests": 0},
        {"name": "T", "requests": -1},
        {"name": "T", "requests": 10**30},
        {"name": "T", "requests": 1, "per": "week"},
        {"name": "\x00", "requests": 1},
        {"name": "T", "requests": 1, "burst": 5},
        {"name": "T", "requests": 1, "burst": {"requests": 5}},
        {"name": "T", "requests": 1, "burst": {"requests": 0, "per": "second"}},
        {"name": "T", "requests": 1, "burst": {"requests": 5, "per": "hour"}},
        {"name": "T", "requests": 1, "bandwidth": 10},
        {"name": "T", "requests": 1, "bandwidth": "10 MB"},
        {"name": "T", "requests": 1, "bandwidth": "0MB"},
    ],
)
def test_bad_input_is_a_400(acme: Management, body: dict[str, Any]):
    assert acme.refusal("POST", "/plans", body)[0] == 400
