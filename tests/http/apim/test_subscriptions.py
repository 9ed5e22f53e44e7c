"""/api/apim/v1/subscriptions."""

from typing import Any

import pytest
from tests.http.apim.things import Management


def test_an_application_subscribes_to_an_api_under_a_plan(acme: Management, orders: dict[str, Any]):
    api, application = acme.published(orders), acme.an_application()
    body = {"application_id": application["id"], "api_id": api["id"], "plan": "Gold"}

    answer = acme.call("POST", "/subscriptions", body)

    assert answer.status_code == 201
    subscription = answer.json()
    assert subscription == body | {"id": subscription["id"], "state": "UNBLOCKED"}
    assert acme.ok("GET", f"/subscriptions?api_id={api['id']}")["items"] == [subscription]
    assert acme.ok("GET", "/subscriptions?application_id=another")["items"] == []
    assert ("subscription", subscription["id"]) in acme.news()


def test_once_is_enough(acme: Management, orders: dict[str, Any]):
    subscription = acme.a_subscription(orders)
    body = {name: subscription[name] for name in ("application_id", "api_id")}
    assert acme.refusal("POST", "/subscriptions", body | {"plan": "Bronze"}) == (
        409,
        "Mobile is subscribed to Orders 1.0.0 already",
    )


def test_a_plan_must_be_offered(acme: Management, orders: dict[str, Any]):
    api, application = acme.published(orders), acme.an_application()
    body = {"application_id": application["id"], "api_id": api["id"], "plan": "Unlimited"}
    assert acme.refusal("POST", "/subscriptions", body) == (
        409,
        "Orders 1.0.0 is not offered with the plan 'Unlimited' (but: Gold, Bronze)",
    )


@pytest.mark.parametrize(
    ("states", "takes"),
    [
        ([], False),
        (["PROTOTYPED"], True),
        (["PUBLISHED"], True),
        (["PUBLISHED", "BLOCKED"], False),
        (["PUBLISHED", "DEPRECATED"], False),
        (["PUBLISHED", "DEPRECATED", "RETIRED"], False),
    ],
)
def test_only_published_apis_and_prototypes_take_subscriptions(
    acme: Management, orders: dict[str, Any], states: list[str], takes: bool
):
    api, application = acme.ok("POST", "/apis", orders), acme.an_application()
    for state in states:
        acme.ok("PUT", f"/apis/{api['id']}/state", {"state": state})
    body = {"application_id": application["id"], "api_id": api["id"], "plan": "Gold"}
    assert acme.call("POST", "/subscriptions", body).status_code == (201 if takes else 409)


def test_a_subscription_is_blocked_and_gets_another_plan(acme: Management, orders: dict[str, Any]):
    subscription = acme.a_subscription(orders)
    path = f"/subscriptions/{subscription['id']}"

    assert acme.ok("PATCH", path, {"state": "BLOCKED"}) == subscription | {"state": "BLOCKED"}
    assert acme.ok("PATCH", path, {"plan": "Bronze"}) == subscription | {"state": "BLOCKED", "plan": "Bronze"}
    assert acme.ok("PATCH", path, {}) == subscription | {"state": "BLOCKED", "plan": "Bronze"}
    assert acme.news().count(("subscription", subscription["id"])) == 3
    assert acme.refusal("PATCH", path, {"plan": "Unlimited"})[0] == 409
    assert acme.refusal("PATCH", path, {"state": "GONE"})[0] == 400


def test_unsubscribing_is_news_at_once(acme: Management, orders: dict[str, Any]):
    subscription = acme.a_subscription(orders)
    path = f"/subscriptions/{subscription['id']}"

    assert acme.call("DELETE", path).status_code == 204

    assert acme.refusal("GET", path)[0] == 404
    assert acme.news()[-1] == ("subscription", subscription["id"])
    assert acme.refusal("DELETE", path)[0] == 404


def test_nothing_of_another_organization_takes_part(
    acme: Management, default: Management, orders: dict[str, Any]
):
    theirs = default.a_subscription(orders)
    ours = {"api_id": acme.published(orders)["id"], "application_id": acme.an_application()["id"]}
    for name in ours:
        body = ours | {name: theirs[name], "plan": "Gold"}
        assert acme.refusal("POST", "/subscriptions", body)[0] == 404
    for method, body in (("GET", None), ("PATCH", {"state": "BLOCKED"}), ("DELETE", None)):
        assert acme.refusal(method, f"/subscriptions/{theirs['id']}", body)[0] == 404
    assert acme.ok("GET", f"/subscriptions?application_id={theirs['application_id']}")["total"] == 0
    assert default.ok("GET", f"/subscriptions/{theirs['id']}") == theirs
