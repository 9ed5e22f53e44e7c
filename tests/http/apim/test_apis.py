"""/api/apim/v1/apis."""

from typing import Any

import pytest
from tests.http.apim.things import Management
from tests.support.certificates import Authority

from ostiary.foundation.certificates import Purpose

ELSEWHERE = "99999999-9999-4999-8999-999999999999"


def test_a_new_api_is_created_and_not_published(acme: Management, orders: dict[str, Any]):
    answer = acme.call("POST", "/apis", orders)

    assert answer.status_code == 201
    api = answer.json()
    assert api == orders | {"id": api["id"], "state": "CREATED"}
    assert answer.headers["location"] == f"/t/acme/api/apim/v1/apis/{api['id']}"
    assert acme.ok("GET", f"/apis/{api['id']}") == api
    assert acme.ok("GET", "/apis") == {"total": 1, "offset": 0, "items": [api]}


def test_publishing_is_a_step_of_its_own(acme: Management, orders: dict[str, Any]):
    api = acme.ok("POST", "/apis", orders)

    published = acme.ok("PUT", f"/apis/{api['id']}/state", {"state": "PUBLISHED"})

    assert published == api | {"state": "PUBLISHED"}


def test_a_step_that_is_not_in_the_table_is_a_conflict(acme: Management, orders: dict[str, Any]):
    api = acme.ok("POST", "/apis", orders)

    assert acme.refusal("PUT", f"/apis/{api['id']}/state", {"state": "RETIRED"}) == (
        409,
        "an API version that is CREATED cannot become RETIRED (possible: PROTOTYPED, PUBLISHED)",
    )


def test_an_unknown_state_is_refused_with_the_known_ones(acme: Management, orders: dict[str, Any]):
    api = acme.ok("POST", "/apis", orders)
    status, text = acme.refusal("PUT", f"/apis/{api['id']}/state", {"state": "GONE"})
    assert status == 400
    assert "'PUBLISHED'" in text


@pytest.mark.parametrize(
    ("missing", "field"), [("backend", "backend"), ("plans", "plans"), ("resources", "resources")]
)
def test_nothing_is_published_that_nobody_could_call(
    acme: Management, orders: dict[str, Any], missing: str, field: str
):
    api = acme.ok("POST", "/apis", {name: value for name, value in orders.items() if name != missing})
    status, text = acme.refusal("PUT", f"/apis/{api['id']}/state", {"state": "PUBLISHED"})
    assert (status, text.partition(":")[0]) == (400, field)
    assert acme.ok("GET", f"/apis/{api['id']}")["state"] == "CREATED"


def test_a_change_keeps_name_version_and_state(acme: Management, orders: dict[str, Any]):
    api = acme.published(orders)
    changed = orders | {"context": "/shop", "plans": ["Unlimited"], "resources": orders["resources"][:1]}

    assert acme.ok("PUT", f"/apis/{api['id']}", changed) == changed | {"id": api["id"], "state": "PUBLISHED"}
    assert acme.refusal("PUT", f"/apis/{api['id']}", orders | {"version": "2"}) == (
        400,
        "name: expected Orders 1.0.0, which stay, found Orders 2",
    )


def test_all_callers_of_an_api_or_a_resource_may_share_a_limit(acme: Management, orders: dict[str, Any]):
    limited = {
        "method": "GET",
        "path": "/few",
        "scopes": [],
        "limit": {"requests": 5, "per": "hour"},
        "auth": "any",
    }
    body = orders | {"limit": "20KPerMin", "resources": [*orders["resources"], limited]}

    api = acme.ok("POST", "/apis", body)

    assert (api["limit"], api["resources"][-1]) == ({"requests": 20_000, "per": "minute"}, limited)
    assert acme.ok("GET", f"/apis/{api['id']}") == api
    assert acme.ok("PUT", f"/apis/{api['id']}", body | {"limit": "Unlimited"})["limit"] is None
    for limit in (
        "Gold",
        5,
        {"requests": 5},
        {"requests": 5, "per": "week"},
        {"requests": 5, "per": "day", "x": 1},
    ):
        assert acme.refusal("PUT", f"/apis/{api['id']}", body | {"limit": limit})[0] == 400


def test_a_published_api_is_not_emptied(acme: Management, orders: dict[str, Any]):
    api = acme.published(orders)
    assert acme.refusal("PUT", f"/apis/{api['id']}", orders | {"resources": []})[0] == 400
    assert acme.ok("GET", f"/apis/{api['id']}") == api


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "there is an API Orders 1.0.0 already"),
        ({"name": "Other"}, "the path /orders/1.0.0 is taken by or overlaps Orders 1.0.0 at /orders/1.0.0"),
        (
            {"name": "Other", "context": "/orders/1.0.0"},
            "the path /orders/1.0.0/1.0.0 is taken by or overlaps Orders 1.0.0 at /orders/1.0.0",
        ),
    ],
)
def test_one_place_has_one_api(
    acme: Management, orders: dict[str, Any], changes: dict[str, str], text: str | None
):
    acme.ok("POST", "/apis", orders)
    status, found = acme.refusal("POST", "/apis", orders | changes)
    assert status == (409 if text else 400)
    assert text in (None, found)


def test_an_api_does_not_enclose_another(acme: Management, orders: dict[str, Any]):
    acme.ok("POST", "/apis", orders | {"context": "/shop/orders"})
    assert (
        acme.refusal("POST", "/apis", orders | {"name": "Shop", "context": "/shop", "version": "orders"})[0]
        == 409
    )
    acme.ok("POST", "/apis", orders | {"name": "Shop", "context": "/shop", "version": "order"})


def test_the_same_context_has_several_versions(acme: Management, orders: dict[str, Any]):
    first, second = acme.ok("POST", "/apis", orders), acme.ok("POST", "/apis", orders | {"version": "1.0"})
    assert [api["id"] for api in acme.ok("GET", "/apis")["items"]] == [second["id"], first["id"]]
    assert acme.ok("GET", "/apis?limit=1&offset=1")["items"] == [first]


def test_two_organizations_have_the_same_context_and_do_not_see_each_other(
    acme: Management, default: Management, orders: dict[str, Any]
):
    """Security case: another organization's identifiers are not found."""
    ours, theirs = acme.ok("POST", "/apis", orders), default.ok("POST", "/apis", orders)

    assert [api["id"] for api in acme.ok("GET", "/apis")["items"]] == [ours["id"]]
    for method, path, body in (
        ("GET", "", None),
        ("PUT", "", orders),
        ("PUT", "/state", {"state": "PUBLISHED"}),
        ("DELETE", "", None),
    ):
        expected = (404, f"there is no API {theirs['id']!r} in this organization")
        assert acme.refusal(method, f"/apis/{theirs['id']}{path}", body) == expected
    assert default.ok("GET", f"/apis/{theirs['id']}") == theirs


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"context": "/token"}, "context"),
        ({"version": ".."}, "version"),
        ({"plans": ["Platinum"]}, "plan"),
        ({"plans": ["Gold", "Gold"]}, "plans"),
        ({"backend": {"production": ["http://orders.example"]}}, "backend"),
        ({"backend": {"production": ["https://169.254.169.254"]}}, "backend"),
        ({"backend": {"production": ["https://10.0.0.1"]}}, "backend"),
        ({"backend": {"production": ["http://127.0.0.1:9443"]}}, "backend"),
        ({"backend": {"production": ["https://user:pass@orders.example"]}}, "backend"),
        ({"resources": [{"method": "GET", "path": "/a;b"}]}, "path"),
        ({"resources": [{"method": "FETCH", "path": "/"}]}, "method"),
        ({"resources": [{"method": "GET", "path": "/", "scopes": ["nobody:knows"]}]}, "scopes"),
        ({"limit": {"requests": 0, "per": "minute"}}, "limit.requests"),
        (
            {"resources": [{"method": "GET", "path": "/", "limit": {"requests": 0, "per": "day"}}]},
            "limit.requests",
        ),
        ({"name": "\ud800"}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"version": "\ud800"}, "version"),
        ({"plans": ["\ud800", "\ud800"]}, "plans"),
    ],
)
def test_bad_input_names_its_field_and_changes_nothing(
    acme: Management, orders: dict[str, Any], changes: dict[str, Any], field: str
):
    status, text = acme.refusal("POST", "/apis", orders | changes)
    assert (status, text.partition(":")[0]) == (400, field)
    assert "pass@" not in text
    assert acme.ok("GET", "/apis")["total"] == 0


@pytest.mark.parametrize("body", [None, [], {}, {"name": 5}, {"unknown": 1}, {"state": "PUBLISHED"}], ids=str)
def test_a_body_of_another_shape_is_a_400(acme: Management, body: Any):
    assert acme.refusal("POST", "/apis", body)[0] == 400


def test_only_what_nobody_is_subscribed_to_is_deleted(acme: Management, orders: dict[str, Any]):
    subscription = acme.a_subscription(orders)
    path = f"/apis/{subscription['api_id']}"

    assert acme.refusal("DELETE", path) == (409, "Orders 1.0.0 has 1 subscriptions; retire it instead")
    acme.ok("DELETE", f"/subscriptions/{subscription['id']}")
    assert acme.call("DELETE", path).status_code == 204
    assert acme.refusal("GET", path)[0] == 404


@pytest.mark.parametrize("api_id", [ELSEWHERE, "nothing", "%C3%A9", "a" * 5_000])
def test_what_is_not_there_is_a_404(acme: Management, api_id: str):
    assert acme.refusal("GET", f"/apis/{api_id}")[0] == 404


def test_every_change_is_news_for_the_gateway_and_a_repetition_none(acme: Management, orders: dict[str, Any]):
    api = acme.published(orders)
    before = acme.news().count(("api", api["id"]))

    acme.ok("PUT", f"/apis/{api['id']}", orders)
    acme.ok("PUT", f"/apis/{api['id']}/state", {"state": "PUBLISHED"})
    assert acme.news().count(("api", api["id"])) == before == 2

    acme.ok("PUT", f"/apis/{api['id']}", orders | {"context": "/shop"})
    acme.ok("PUT", f"/apis/{api['id']}/state", {"state": "BLOCKED"})
    acme.ok("DELETE", f"/apis/{api['id']}")
    assert acme.news().count(("api", api["id"])) == 5


def test_what_a_backend_says_comes_back_without_its_key(acme: Management, orders: dict[str, Any]):
    authority = Authority()
    certificate, key = authority.issue("gateway", purpose=Purpose.CLIENT)
    backend = {
        "production": ["https://orders.example"],
        "sandbox": [],
        "timeout_ms": 500,
        "health_check": "/healthz",
        "ca": authority.ca,
        "breaker_failures": 3,
        "breaker_pause_seconds": 20,
    }
    mine = {"certificate": certificate, "key": key}

    api = acme.ok("POST", "/apis", orders | {"backend": backend | {"client_certificate": mine}})

    shown = {"client_certificate": mine | {"key": {"unchanged": True}}}
    assert api["backend"] == backend | shown
    again = {name: value for name, value in api.items() if name not in {"id", "state"}}
    assert acme.ok("PUT", f"/apis/{api['id']}", again) == api
    again["backend"] = again["backend"] | {"production": ["https://evil.example"]}
    assert acme.refusal("PUT", f"/apis/{api['id']}", again) == (
        400,
        "backend.client_certificate.key: expected the key (PEM): none is kept for a new or changed address, "
        "found none",
    )
