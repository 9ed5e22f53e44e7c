"""/api/apim/v1/applications and their keys."""

from dataclasses import replace
from typing import Any

import pytest
from tests.http.apim.things import Management


def test_an_application_belongs_to_its_owner(acme: Management):
    answer = acme.call("POST", "/applications", {"name": "Mobile", "owner": "BOB@acme"})

    assert answer.status_code == 201
    application = answer.json()
    assert application == {
        "id": application["id"],
        "name": "Mobile",
        "owner": "bob",
        "tier": "Unlimited",
        "keys": {},
    }
    assert acme.ok("GET", "/applications")["items"] == [application]
    renamed = acme.ok("PUT", f"/applications/{application['id']}", {"name": "Web", "owner": "bob"})
    assert renamed == application | {"name": "Web"}
    assert acme.news().count(("application", application["id"])) == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "M"}, "owner"),
        ({"name": "M", "owner": "nobody"}, "owner"),
        ({"name": "M", "owner": "NOWHERE/bob"}, "owner"),
        ({"name": "M", "owner": "b\x00b"}, "owner"),
        ({"name": "", "owner": "bob"}, "name"),
        ({"name": "M", "owner": "bob", "tier": "Gold"}, "tier"),
        ({"name": "\ud800", "owner": "bob"}, "name"),
        ({"name": "<script>", "owner": "bob"}, "name"),
    ],
)
def test_bad_input_names_its_field(acme: Management, body: dict[str, str], field: str):
    status, text = acme.refusal("POST", "/applications", body)
    assert (status, text.partition(":")[0]) == (400, field)


def test_an_application_has_a_tier_that_stays_until_another_is_said(acme: Management):
    body = {"name": "Mobile", "owner": "bob"}
    made = acme.ok("POST", "/applications", body | {"tier": "20PerMin"})

    assert made["tier"] == "20PerMin"
    assert acme.ok("PUT", f"/applications/{made['id']}", body)["tier"] == "20PerMin"
    assert acme.ok("PUT", f"/applications/{made['id']}", body | {"tier": "Unlimited"})["tier"] == "Unlimited"


def test_an_owner_has_one_application_of_a_name(acme: Management):
    acme.an_application()
    assert acme.refusal("POST", "/applications", {"name": "Mobile", "owner": "bob"}) == (
        409,
        "bob has an application Mobile already",
    )


def test_keys_show_their_secret_once(acme: Management):
    path = f"/applications/{acme.an_application()['id']}"
    body = {"key_type": "PRODUCTION", "grant_types": ["client_credentials", "password"]}

    answer = acme.call("POST", f"{path}/keys", body)

    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    keys = answer.json()
    assert len(keys.pop("client_secret")) >= 32
    assert keys == {
        "key_type": "PRODUCTION",
        "client_id": keys["client_id"],
        "grant_types": ["client_credentials", "password"],
        "token_format": "jwt",
    }
    assert acme.ok("GET", path)["keys"] == {"PRODUCTION": keys["client_id"]}
    assert ("client", keys["client_id"]) in acme.news()


STORE = {"name": "CORP", "type": "rest", "url": "https://login.example/"}


def other_apis(acme: Management) -> tuple[Management, Management]:
    """The internal REST APIs of user stores and of clients, and of the documents WSO2 has for stores."""
    bases = ("/t/acme/api/identity/v1", "/t/acme/api/oauth/v1")
    return tuple(replace(acme, base=base) for base in bases)  # type: ignore[return-value]


def test_keys_may_say_which_user_stores_their_logins_ask(acme: Management):
    stores, clients = other_apis(acme)
    stores.ok("POST", "/user-stores", STORE)
    path = f"/applications/{acme.an_application()['id']}/keys"
    said = {"key_type": "PRODUCTION", "user_stores": ["CORP", "PRIMARY"]}

    client_id = acme.ok("POST", path, said)["client_id"]

    assert clients.ok("GET", f"/clients/{client_id}")["user_stores"] == ["CORP", "PRIMARY"]
    unknown = acme.refusal("POST", path, {"key_type": "SANDBOX", "user_stores": ["CROP"]})
    assert unknown == (400, "user_stores: user stores there are: PRIMARY, CORP")


def test_a_user_store_on_a_clients_list_cannot_be_deleted(acme: Management):
    """It would be asked no more, and whether the whole chain is meant then is nobody's guess."""
    stores, clients = other_apis(acme)
    wso2 = replace(acme, base="/t/acme/api/server/v1")
    stores.ok("POST", "/user-stores", STORE)
    path = f"/applications/{acme.an_application()['id']}/keys"
    acme.ok("POST", path, {"key_type": "PRODUCTION", "client_id": "mobile", "user_stores": ["CORP"]})
    (listed,) = wso2.ok("GET", "/userstores")
    text = (
        "CORP is in user_stores of the clients mobile: "
        "take it off their lists first, or switch the store off (enabled: false)"
    )

    refusals = [
        stores.refusal("DELETE", "/user-stores/corp"),
        wso2.refusal("DELETE", f"/userstores/{listed['id']}"),
    ]

    assert refusals == [(409, text)] * 2
    assert clients.ok("GET", "/clients/mobile")["user_stores"] == ["CORP"]
    clients.ok("PUT", "/clients/mobile", {"user_stores": ["PRIMARY"]})
    stores.ok("DELETE", "/user-stores/corp")


def test_a_client_of_another_organization_keeps_no_store_of_ours(acme: Management, default: Management):
    stores, _ = other_apis(acme)
    for one in (stores, replace(default, base="/api/identity/v1")):
        one.ok("POST", "/user-stores", STORE)
    said = {"key_type": "PRODUCTION", "user_stores": ["CORP"]}
    default.ok("POST", f"/applications/{default.an_application()['id']}/keys", said)

    stores.ok("DELETE", "/user-stores/corp")


def test_an_application_has_one_client_of_each_type(acme: Management):
    path = f"/applications/{acme.an_application()['id']}/keys"
    acme.ok("POST", path, {"key_type": "PRODUCTION"})
    acme.ok("POST", path, {"key_type": "SANDBOX"})
    assert acme.refusal("POST", path, {"key_type": "SANDBOX"}) == (
        409,
        "the application Mobile has SANDBOX keys already",
    )


def test_a_client_id_is_taken_once_in_the_installation(acme: Management, default: Management):
    wanted = {"key_type": "PRODUCTION", "client_id": "m"}
    acme.ok("POST", f"/applications/{acme.an_application()['id']}/keys", wanted)
    for organization in (acme, default):
        application = organization.an_application("Other")
        status, text = organization.refusal("POST", f"/applications/{application['id']}/keys", wanted)
        assert (status, text) == (409, "client_id: m is taken in this installation; choose another")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"key_type": "TEST"},
        {"key_type": "SANDBOX", "client_id": "a b"},
        {"key_type": "SANDBOX", "grant_types": ["magic"]},
        {"key_type": "SANDBOX", "internal_scopes": True},
    ],
)
def test_bad_keys_are_a_400_and_none_are_made(acme: Management, body: dict[str, Any]):
    path = f"/applications/{acme.an_application()['id']}"
    assert acme.refusal("POST", f"{path}/keys", body)[0] == 400
    assert acme.ok("GET", path)["keys"] == {}


def test_deleted_keys_take_their_client_and_its_tokens_along(acme: Management):
    path = f"/applications/{acme.an_application()['id']}"
    client_id = acme.ok("POST", f"{path}/keys", {"key_type": "PRODUCTION"})["client_id"]

    assert acme.call("DELETE", f"{path}/keys/PRODUCTION").status_code == 204

    assert acme.ok("GET", path)["keys"] == {}
    assert ("epoch", f"client:{client_id}") in acme.news()
    assert acme.refusal("DELETE", f"{path}/keys/PRODUCTION")[0] == 404
    assert acme.refusal("DELETE", f"{path}/keys/OTHER")[0] == 400


def test_a_deleted_application_takes_everything_along(acme: Management, orders: dict[str, Any]):
    subscription = acme.a_subscription(orders)
    path = f"/applications/{subscription['application_id']}"
    client_id = acme.ok("POST", f"{path}/keys", {"key_type": "PRODUCTION"})["client_id"]

    assert acme.call("DELETE", path).status_code == 204

    assert acme.refusal("GET", path)[0] == 404
    assert acme.refusal("GET", f"/subscriptions/{subscription['id']}")[0] == 404
    told = acme.news()
    for event in (
        ("subscription", subscription["id"]),
        ("client", client_id),
        ("epoch", f"client:{client_id}"),
        ("epoch", f"application:{subscription['application_id']}"),
        ("application", subscription["application_id"]),
    ):
        assert event in told


def test_another_organizations_application_is_not_found(acme: Management, default: Management):
    theirs = default.an_application()["id"]
    for method, path, body in (
        ("GET", "", None),
        ("PUT", "", {"name": "Mine", "owner": "bob"}),
        ("DELETE", "", None),
        ("POST", "/keys", {"key_type": "PRODUCTION"}),
        ("DELETE", "/keys/PRODUCTION", None),
    ):
        assert acme.refusal(method, f"/applications/{theirs}{path}", body)[0] == 404
    assert default.ok("GET", f"/applications/{theirs}")["name"] == "Mobile"
