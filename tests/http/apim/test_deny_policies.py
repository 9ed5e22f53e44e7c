"""/api/apim/v1/deny-policies."""

from typing import Any

import pytest
from tests.http.apim.things import Management

ADDRESS = {"condition": "IP", "value": "192.0.2.7"}


def test_a_deny_policy_is_made_read_switched_and_removed(acme: Management):
    answer = acme.call("POST", "/deny-policies", ADDRESS)

    made = answer.json()
    assert answer.status_code == 201
    assert made == ADDRESS | {"id": made["id"], "invert": False, "enabled": True}
    assert answer.headers["location"].endswith(f"/deny-policies/{made['id']}")
    assert acme.ok("GET", "/deny-policies")["items"] == [made]
    off = acme.ok("PATCH", f"/deny-policies/{made['id']}", {"enabled": False})
    assert off == made | {"enabled": False}
    assert acme.ok("GET", f"/deny-policies/{made['id']}") == off
    acme.ok("DELETE", f"/deny-policies/{made['id']}")
    assert acme.refusal("GET", f"/deny-policies/{made['id']}")[0] == 404
    assert acme.news()[-3:] == [("denial", made["id"])] * 3


@pytest.mark.parametrize(
    ("condition", "value", "kept"),
    [
        ("IP", "2001:DB8:0::7", "2001:db8::7"),
        ("IP", "::ffff:192.0.2.7", "192.0.2.7"),
        ("IPRANGE", "192.0.2.0/24", "192.0.2.0-192.0.2.255"),
        ("IPRANGE", "192.0.2.3-192.0.2.9", "192.0.2.3-192.0.2.9"),
        ("USER", "Bob", "bob@acme"),
        ("USER", "bob@acme", "bob@acme"),
        ("USER", "nobody-yet@example.com", "nobody-yet@example.com@acme"),
        ("APPLICATION", "bob:Mobile", "bob:Mobile"),
        ("API", "/orders/1.0.0", "/orders/1.0.0"),
    ],
)
def test_a_value_has_one_spelling(
    acme: Management, orders: dict[str, Any], condition: str, value: str, kept: str
):
    acme.published(orders)
    acme.an_application()
    body = {"condition": condition, "value": value}

    assert acme.ok("POST", "/deny-policies", body)["value"] == kept
    assert acme.refusal("POST", "/deny-policies", body | {"value": kept})[0] == 409


def test_an_application_may_be_named_by_its_identifier(acme: Management):
    application = acme.an_application()

    made = acme.ok("POST", "/deny-policies", {"condition": "APPLICATION", "value": application["id"]})

    assert made["value"] == "bob:Mobile"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"condition": "IP", "value": "192.0.2"}, "address"),
        ({"condition": "IP", "value": "192.0.2.0/24"}, "IPRANGE"),
        ({"condition": "IP", "value": "fe80::1%eth0"}, "zone"),
        ({"condition": "IPRANGE", "value": "192.0.2.1/24"}, "host bits"),
        ({"condition": "IPRANGE", "value": "192.0.2.9-192.0.2.1"}, "first"),
        ({"condition": "IPRANGE", "value": "192.0.2.9-2001:db8::1"}, "first"),
        ({"condition": "USER", "value": "NOWHERE/bob"}, "value"),
        ({"condition": "USER", "value": "bob", "invert": True}, "invert"),
        ({"condition": "APPLICATION", "value": "bob:Nothing"}, "application"),
        ({"condition": "APPLICATION", "value": "nothing"}, "application"),
        ({"condition": "API", "value": "/orders/9"}, "API"),
        ({"condition": "HEADER", "value": "x"}, "condition"),
        ({"condition": "IP"}, "value"),
    ],
)
def test_what_cannot_be_denied_is_refused_by_name(acme: Management, body: dict[str, Any], word: str):
    """Elsewhere these are answered with 500."""
    status, text = acme.refusal("POST", "/deny-policies", body)

    assert status == 400
    assert word in text
    assert acme.ok("GET", "/deny-policies")["total"] == 0


def test_a_policy_goes_with_what_it_is_about(acme: Management, orders: dict[str, Any]):
    api, application = acme.published(orders), acme.an_application()
    acme.ok("POST", "/deny-policies", {"condition": "APPLICATION", "value": "bob:Mobile"})
    acme.ok("POST", "/deny-policies", {"condition": "API", "value": "/orders/1.0.0"})

    acme.ok("DELETE", f"/applications/{application['id']}")
    acme.ok("DELETE", f"/apis/{api['id']}")

    assert acme.ok("GET", "/deny-policies")["items"] == []


def test_another_organization_s_policies_are_not_found(acme: Management, default: Management):
    made = acme.ok("POST", "/deny-policies", ADDRESS)

    assert default.ok("GET", "/deny-policies")["items"] == []
    assert default.refusal("PATCH", f"/deny-policies/{made['id']}", {"enabled": False})[0] == 404
    assert default.refusal("DELETE", f"/deny-policies/{made['id']}")[0] == 404
    assert acme.ok("GET", f"/deny-policies/{made['id']}") == made
