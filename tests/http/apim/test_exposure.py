"""What a publisher says about calls: auth of a resource, credentials, CORS, default version, assertion."""

from typing import Any

import pytest
from tests.http.apim.things import Management


def test_a_resource_says_whose_token_it_takes(acme: Management, orders: dict[str, Any]):
    resources = [
        {"method": "GET", "path": f"/{auth}", "scopes": [], "limit": None, "auth": auth}
        for auth in ("any", "application", "user", "none")
    ]

    assert acme.published(orders, resources=resources)["resources"] == resources


def test_an_api_says_which_credentials_it_takes(acme: Management, orders: dict[str, Any]):
    assert acme.published(orders, security=["oauth2", "api_key"])["security"] == ["oauth2", "api_key"]


def test_an_api_says_what_browsers_are_told(acme: Management, orders: dict[str, Any]):
    rules = {
        "enabled": True,
        "origins": ["https://shop.example"],
        "methods": ["GET"],
        "headers": ["authorization"],
        "credentials": True,
    }

    api = acme.published(orders, cors=rules)

    assert api["cors"] == rules
    assert acme.ok("GET", f"/apis/{api['id']}")["cors"] == rules


def test_an_api_says_which_claims_its_backend_is_told(acme: Management, orders: dict[str, Any]):
    asked = {"claims": ["email", "department"]}

    api = acme.published(orders, assertion=asked)

    assert api["assertion"] == asked
    assert acme.ok("GET", f"/apis/{api['id']}")["assertion"] == asked
    assert ("api", api["id"]) in acme.news()


def test_a_claim_under_a_name_of_the_assertion_s_own_is_refused_with_what_to_do(
    acme: Management, orders: dict[str, Any]
):
    status, text = acme.refusal("POST", "/apis", orders | {"assertion": {"claims": ["enduser"]}})

    assert status == 400
    assert text == (
        "assertion.claims: expected a claim of users, not a name that tokens or the assertion itself use; "
        "leave it out, found 'enduser'"
    )


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"resources": [{"method": "GET", "path": "/", "auth": "nobody"}]}, "auth"),
        (
            {"resources": [{"method": "GET", "path": "/", "auth": "none", "scopes": ["orders:write"]}]},
            "scopes",
        ),
        ({"security": []}, "security"),
        ({"security": ["basic"]}, "security"),
        ({"security": ["oauth2", "oauth2"]}, "security"),
        ({"cors": {"origins": ["shop.example"]}}, "cors.origins"),
        ({"cors": {"origins": ["https://shop.example/"]}}, "cors.origins"),
        ({"cors": {"methods": ["HEAD"]}}, "cors.methods"),
        ({"cors": {"headers": ["a b"]}}, "cors.headers"),
        ({"cors": {"credentials": True}}, "cors.credentials"),
        ({"cors": {"origins": ["https://a.example"] * 2}}, "cors.origins"),
        ({"default_version": "perhaps"}, "default_version"),
        ({"assertion": {"claims": ["sub"]}}, "assertion.claims"),
        ({"assertion": {"claims": ["EndUser"]}}, "assertion.claims"),
        ({"assertion": {"claims": ["http://wso2.org/claims/enduser"]}}, "assertion.claims"),
        ({"assertion": {"claims": ["a b"]}}, "assertion.claims"),
        ({"assertion": {"claims": [""]}}, "assertion.claims"),
        ({"assertion": {"claims": ["a" * 65]}}, "assertion.claims"),
        ({"assertion": {"claims": ["email", "email"]}}, "assertion.claims"),
        ({"assertion": {"claims": ["email", "emailaddress"]}}, "assertion.claims"),
        ({"assertion": {"claims": [f"c{n}" for n in range(21)]}}, "assertion.claims"),
        ({"assertion": {"claims": "email"}}, "assertion.claims"),
        ({"assertion": {"everything": True}}, "assertion.everything"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    acme: Management, orders: dict[str, Any], changes: dict[str, Any], word: str
):
    status, text = acme.refusal("POST", "/apis", orders | changes)

    assert status == 400
    assert word in text


def test_a_context_has_one_default_version(acme: Management, orders: dict[str, Any]):
    first = acme.published(orders, default_version=True)
    second = acme.published(orders, version="2.0.0", default_version=True)

    assert acme.ok("GET", f"/apis/{first['id']}")["default_version"] is False
    assert acme.ok("GET", f"/apis/{second['id']}")["default_version"] is True
    assert ("api", first["id"]) in acme.news()[-3:]


@pytest.mark.parametrize("default_first", [True, False])
def test_nothing_else_lies_under_the_context_of_a_default_version(
    acme: Management, orders: dict[str, Any], default_first: bool
):
    default, inside = orders | {"default_version": True}, orders | {"name": "X", "context": "/orders/x"}
    first, second = (default, inside) if default_first else (inside, default)
    acme.ok("POST", "/apis", first)

    status, text = acme.refusal("POST", "/apis", second)

    assert status == 409
    assert "default version" in text
    assert acme.ok("GET", "/apis")["total"] == 1
