"""Publishing a version: what becomes of the older ones and of those subscribed to them."""

from typing import Any

import pytest
from tests.http.apim.things import Management

PUBLISH = {"state": "PUBLISHED"}
CARRY_OVER = {**PUBLISH, "require_resubscription": False}


def a_version(acme: Management, orders: dict[str, Any], version: str, **changes: Any) -> str:
    return str(acme.ok("POST", "/apis", orders | {"version": version} | changes)["id"])


def publish(acme: Management, api: str, **how: Any) -> dict[str, Any]:
    return dict(acme.ok("PUT", f"/apis/{api}/state", {**PUBLISH, **how}))


def subscribe(acme: Management, api: str, name: str, plan: str = "Gold") -> dict[str, Any]:
    application = acme.an_application(name)
    body = {"application_id": application["id"], "api_id": api, "plan": plan}
    return dict(acme.ok("POST", "/subscriptions", body))


def subscribers(acme: Management, api: str) -> list[tuple[str, str, str]]:
    """(application, plan, state) of those subscribed to an API version."""
    every = acme.ok("GET", "/subscriptions")["items"]
    return sorted((s["application_id"], s["plan"], s["state"]) for s in every if s["api_id"] == api)


def state(acme: Management, api: str) -> str:
    return str(acme.ok("GET", f"/apis/{api}")["state"])


def test_publishing_alone_leaves_older_versions_and_their_subscribers(
    acme: Management, orders: dict[str, Any]
):
    old, new = a_version(acme, orders, "1.0.0"), a_version(acme, orders, "2.0.0")
    publish(acme, old)
    subscribe(acme, old, "Mobile")

    answer = publish(acme, new)

    assert "superseded" not in answer
    assert (state(acme, old), subscribers(acme, new)) == ("PUBLISHED", [])


def test_older_versions_are_deprecated_and_newer_and_other_ones_are_not(
    acme: Management, orders: dict[str, Any]
):
    apis = {v: a_version(acme, orders, v) for v in ("1.9.0", "1.10.0-beta", "1.10.0", "1.11.0")}
    other = a_version(acme, orders, "1.0.0", name="Other", context="/other")
    for api in (*apis.values(), other):
        publish(acme, api)

    answer = publish(acme, apis["1.10.0"], deprecate_older=True)

    assert answer["superseded"] == {
        "deprecated": ["1.10.0-beta", "1.9.0"],
        "carried_over": 0,
        "not_offered": 0,
    }
    assert {v: state(acme, api) for v, api in apis.items()} == {
        "1.9.0": "DEPRECATED",
        "1.10.0-beta": "DEPRECATED",
        "1.10.0": "PUBLISHED",
        "1.11.0": "PUBLISHED",
    }
    assert state(acme, other) == "PUBLISHED"


def test_a_blocked_version_is_not_opened_by_being_deprecated(acme: Management, orders: dict[str, Any]):
    old, new = a_version(acme, orders, "1.0.0"), a_version(acme, orders, "2.0.0")
    publish(acme, old)
    acme.ok("PUT", f"/apis/{old}/state", {"state": "BLOCKED"})

    publish(acme, new, deprecate_older=True)

    assert state(acme, old) == "BLOCKED"


def test_subscribers_are_carried_over_as_they_are(acme: Management, orders: dict[str, Any]):
    old, new = a_version(acme, orders, "1.0.0"), a_version(acme, orders, "2.0.0")
    publish(acme, old)
    one, two = subscribe(acme, old, "Mobile"), subscribe(acme, old, "Desktop", "Bronze")
    acme.ok("PATCH", f"/subscriptions/{two['id']}", {"state": "BLOCKED"})
    known = {key for topic, key in acme.news() if topic == "subscription"}

    answer = publish(acme, new, require_resubscription=False, deprecate_older=True)

    assert answer["superseded"] == {"deprecated": ["1.0.0"], "carried_over": 2, "not_offered": 0}
    expected = sorted(
        [(one["application_id"], "Gold", "UNBLOCKED"), (two["application_id"], "Bronze", "BLOCKED")]
    )
    assert subscribers(acme, new) == expected
    assert subscribers(acme, old) == expected
    every = {s["id"] for s in acme.ok("GET", "/subscriptions")["items"] if s["api_id"] == new}
    assert {key for topic, key in acme.news() if topic == "subscription"} - known == every


def test_the_newest_subscription_counts_and_one_that_is_there_stays(acme: Management, orders: dict[str, Any]):
    first, second, new = (a_version(acme, orders, v) for v in ("1.0.0", "1.1.0", "2.0.0"))
    publish(acme, first)
    publish(acme, second)
    acme.ok("PUT", f"/apis/{new}/state", {"state": "PROTOTYPED"})
    mobile, desktop = subscribe(acme, first, "Mobile"), subscribe(acme, first, "Desktop")
    for api, whose, plan in ((second, mobile, "Bronze"), (new, desktop, "Bronze")):
        body = {"application_id": whose["application_id"], "api_id": api, "plan": plan}
        acme.ok("POST", "/subscriptions", body)

    answer = publish(acme, new, require_resubscription=False)

    assert answer["superseded"]["carried_over"] == 1
    assert subscribers(acme, new) == sorted(
        (one["application_id"], "Bronze", "UNBLOCKED") for one in (mobile, desktop)
    )


def test_nobody_gets_a_plan_that_the_new_version_does_not_offer(acme: Management, orders: dict[str, Any]):
    old, new = a_version(acme, orders, "1.0.0"), a_version(acme, orders, "2.0.0", plans=["Bronze"])
    publish(acme, old)
    subscribe(acme, old, "Mobile", "Gold")

    answer = publish(acme, new, require_resubscription=False)

    assert answer["superseded"] == {"deprecated": [], "carried_over": 0, "not_offered": 1}
    assert subscribers(acme, new) == []


def test_what_is_repeated_changes_nothing(acme: Management, orders: dict[str, Any]):
    old, new = a_version(acme, orders, "1.0.0"), a_version(acme, orders, "2.0.0")
    publish(acme, old)
    subscribe(acme, old, "Mobile")
    how = {"require_resubscription": False, "deprecate_older": True}
    publish(acme, new, **how)
    before = (subscribers(acme, new), acme.news())

    answer = publish(acme, new, **how)

    assert answer["superseded"] == {"deprecated": [], "carried_over": 0, "not_offered": 0}
    assert (subscribers(acme, new), acme.news()) == before


@pytest.mark.parametrize("option", [{"deprecate_older": True}, {"require_resubscription": False}])
def test_only_publishing_supersedes(acme: Management, orders: dict[str, Any], option: dict[str, bool]):
    api = a_version(acme, orders, "1.0.0")

    assert acme.refusal("PUT", f"/apis/{api}/state", {"state": "PROTOTYPED", **option}) == (
        400,
        "state: expected PUBLISHED, where older versions are to be superseded, found PROTOTYPED",
    )
    assert state(acme, api) == "CREATED"


def test_what_cannot_be_published_supersedes_nothing(acme: Management, orders: dict[str, Any]):
    old, new = a_version(acme, orders, "1.0.0"), a_version(acme, orders, "2.0.0", backend={"production": []})
    publish(acme, old)

    status, _ = acme.refusal("PUT", f"/apis/{new}/state", {**CARRY_OVER, "deprecate_older": True})

    assert (status, state(acme, old)) == (400, "PUBLISHED")


def test_another_organizations_versions_are_not_touched(
    acme: Management, default: Management, orders: dict[str, Any]
):
    theirs = a_version(default, orders | {"resources": orders["resources"][:1]}, "1.0.0")
    publish(default, theirs)
    new = a_version(acme, orders, "2.0.0")

    publish(acme, new, deprecate_older=True)

    assert state(default, theirs) == "PUBLISHED"
