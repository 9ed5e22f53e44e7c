"""/api/apim/v1/applications/{id}/api-keys."""

import hashlib
from typing import Any

import pytest
from tests.http.apim.things import Management

KEY = {"name": "billing"}
PLAIN = {
    "name": "billing",
    "key_type": "PRODUCTION",
    "expires_at": None,
    "permitted_ips": [],
    "permitted_referers": [],
}


def test_a_new_api_key_is_shown_once(acme: Management):
    application = acme.an_application()

    answer = acme.call("POST", f"/applications/{application['id']}/api-keys", KEY)

    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    secret = made.pop("api_key")
    assert made == PLAIN | {"id": made["id"], "created_at": made["created_at"]}
    assert (secret[:12], len(secret)) == ("ostiary_key_", 55)
    listed = acme.call("GET", f"/applications/{application['id']}/api-keys")
    assert listed.json()["items"] == [made]
    assert secret not in listed.text


def test_the_gateway_is_told_of_a_key_by_its_hash(acme: Management):
    application = acme.an_application()
    made = acme.ok("POST", f"/applications/{application['id']}/api-keys", KEY)
    event = ("api_key", hashlib.sha256(made["api_key"].encode()).hexdigest())
    assert acme.news()[-1] == event

    acme.ok("DELETE", f"/applications/{application['id']}/api-keys/{made['id']}")

    assert acme.news()[-2:] == [event, event]
    assert acme.ok("GET", f"/applications/{application['id']}/api-keys")["items"] == []


def test_a_key_goes_with_its_application(acme: Management):
    application = acme.an_application()
    made = acme.ok("POST", f"/applications/{application['id']}/api-keys", KEY)

    acme.ok("DELETE", f"/applications/{application['id']}")

    told = hashlib.sha256(made["api_key"].encode()).hexdigest()
    assert acme.news().count(("api_key", told)) == 2


def test_restrictions_are_kept_in_one_spelling(acme: Management):
    application = acme.an_application()
    said = {
        "permitted_ips": ["192.0.2.7", "10.0.0.0/8", "2001:DB8::/32"],
        "permitted_referers": ["https://Shop.example/", "https://*.shop.example/checkout"],
        "expires_at": "2099-01-02T03:04:05+01:00",
    }

    made = acme.ok("POST", f"/applications/{application['id']}/api-keys", KEY | said)

    assert {name: made[name] for name in said} == {
        "permitted_ips": ["192.0.2.7/32", "10.0.0.0/8", "2001:db8::/32"],
        "permitted_referers": ["https://shop.example", "https://*.shop.example/checkout"],
        "expires_at": "2099-01-02T02:04:05Z",
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"key_type": "TEST"}, "key_type"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"permitted_ips": ["10.0.0.1/8"]}, "permitted_ips"),
        ({"permitted_ips": ["localhost"]}, "permitted_ips"),
        ({"permitted_ips": ["10.0.0.0/8", "10.0.0.0/8"]}, "permitted_ips"),
        ({"permitted_ips": [f"10.0.0.{n}" for n in range(21)]}, "permitted_ips"),
        ({"permitted_referers": ["shop.example"]}, "permitted_referers"),
        ({"permitted_referers": ["https://user@shop.example"]}, "permitted_referers"),
        ({"permitted_referers": ["https://shop.example/?x"]}, "permitted_referers"),
        ({"permitted_referers": ["https://shop.*"]}, "permitted_referers"),
        ({"permitted_referers": ["https://shop.example:port"]}, "permitted_referers"),
        ({"permitted_referers": ["https://shop.example\\@evil.example"]}, "permitted_referers"),
        ({"secret": "mine"}, "secret"),
    ],
)
def test_what_cannot_be_is_refused_by_name(acme: Management, changes: dict[str, Any], field: str):
    application = acme.an_application()

    status, text = acme.refusal("POST", f"/applications/{application['id']}/api-keys", KEY | changes)

    assert status == 400
    assert field in text


def test_a_name_is_used_once_in_an_application(acme: Management):
    application = acme.an_application()
    acme.ok("POST", f"/applications/{application['id']}/api-keys", KEY)

    assert acme.refusal("POST", f"/applications/{application['id']}/api-keys", KEY) == (
        409,
        "Mobile has an API key billing already",
    )


def test_another_organization_s_keys_are_not_found(acme: Management, default: Management):
    application = acme.an_application()
    made = acme.ok("POST", f"/applications/{application['id']}/api-keys", KEY)
    path = f"/applications/{application['id']}/api-keys"

    assert default.refusal("GET", path)[0] == 404
    assert default.refusal("POST", path, KEY)[0] == 404
    assert default.refusal("DELETE", f"{path}/{made['id']}")[0] == 404
    assert len(acme.ok("GET", path)["items"]) == 1
