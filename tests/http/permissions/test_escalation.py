"""No escalation: nobody gives, or gets hold of, what they do not hold (security case 2)."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.http.apim.conftest import Local

from ostiary.app import Settings, build_app

PASSWORD = "correct horse battery staple"
ARGON2 = "$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$Q2Kk9DgFzDXBtpMTwuMcvFCeRcyGUyOWHDvYqMRgaOI"
APPLY = "/api/declarative/v1/apply"
IDENTITY = "/permission/admin/manage/identity"
HELPDESK = ("usermgt", "applicationmgt", "userstore", "rolemgt", "oauthscopemgt")
STORE = {"type": "rest", "url": "https://evil.example/authenticate"}


ADMIN = {
    "name": "admin",
    "users": ["boss", "later"],
    "groups": ["CORP/admins"],
    "clients": ["job", "to-come"],
}


def organization_file() -> dict[str, Any]:
    """boss administers, hugo of the helpdesk manages users, clients and stores, bob nothing."""
    people: list[dict[str, Any]] = [
        {"username": who, "password": PASSWORD} for who in ("boss", "hugo", "bob")
    ]
    stores = [{"name": "CORP", "type": "rest", "url": "https://corp.example/login"}]
    stores.append({"name": "SHOP", "type": "rest", "url": "https://shop.example/login"})
    return {
        "apiVersion": "ostiary/v1",
        "organization": {"name": "acme"},
        "users": people,
        "user_stores": stores,
        "roles": [
            {
                "name": "admin",
                "users": ["boss", "later"],
                "groups": ["CORP/admins"],
                "clients": ["job", "to-come"],
            },
            {
                "name": "helpdesk",
                "users": ["hugo"],
                "permissions": [f"{IDENTITY}/{node}" for node in HELPDESK],
            },
            {"name": "shop", "users": ["SHOP/anna"], "permissions": [f"{IDENTITY}/usermgt/view"]},
        ],
        "applications": [
            {"name": "Job", "owner": "bob", "keys": {"production": keys("job")}},
            {
                "name": "Console",
                "owner": "bob",
                "keys": {"production": keys("console", internal_scopes=True)},
            },
            {"name": "Plain", "owner": "bob", "keys": {"production": keys("plain")}},
        ],
    }


def keys(client_id: str, **more: Any) -> dict[str, Any]:
    return {
        "client_id": client_id,
        "client_secret": "s3cret-of-it",
        "grant_types": ["client_credentials"],
        **more,
    }


@pytest.fixture
def http(settings: Settings) -> Iterator[TestClient]:
    """The installation, as anybody reaches it."""
    with TestClient(Local(build_app(settings)), raise_server_exceptions=False) as local:
        answer = local.post(APPLY, json={"documents": [organization_file()]})
        assert answer.status_code == 200, answer.text
    with TestClient(build_app(settings), raise_server_exceptions=False) as client:
        yield client


def as_hugo(http: TestClient, method: str, path: str, body: Any = None) -> Any:
    return http.request(method, f"/t/acme{path}", json=body, auth=("hugo", PASSWORD))


USERS, CLIENTS, STORES = "/api/identity/v1/users", "/api/oauth/v1/clients", "/api/identity/v1/user-stores"
CLIENT = {"grant_types": ["client_credentials"], "client_secret": "another-s3cret"}
WSO2_STORE = {
    "typeId": "cmVzdA",
    "name": "CORP",
    "properties": [{"name": "url", "value": "https://evil.example/authenticate"}],
}
ATTACKS = {
    "a password for an administrator": ("PUT", f"{USERS}/boss", {"password": "stolen stolen stolen"}),
    "an administrator disabled": ("PUT", f"{USERS}/boss", {"disabled": True}),
    "an administrator deleted": ("DELETE", f"{USERS}/boss", None),
    "a user whom a role already names": ("POST", USERS, {"username": "later", "password": PASSWORD}),
    "the same user in another spelling": ("POST", USERS, {"username": "LATER@acme", "password": PASSWORD}),
    "a secret for a client that acts as administrator": ("PUT", f"{CLIENTS}/job", CLIENT),
    "that client deleted": ("DELETE", f"{CLIENTS}/job", None),
    "a client whom a role already names": ("POST", CLIENTS, {"client_id": "to-come", **CLIENT}),
    "the same by its address": ("PUT", f"{CLIENTS}/to-come", CLIENT),
    "a client that is trusted with internal scopes": ("POST", CLIENTS, {**CLIENT, "internal_scopes": True}),
    "a client marked later": ("PUT", f"{CLIENTS}/plain", {**CLIENT, "internal_scopes": True}),
    "a secret for a marked client": ("PUT", f"{CLIENTS}/console", {**CLIENT, "internal_scopes": True}),
    "a mark taken off": ("PUT", f"{CLIENTS}/console", CLIENT),
    "a login service that says who the administrators are": ("PUT", f"{STORES}/CORP", STORE),
    "the store deleted": ("DELETE", f"{STORES}/CORP", None),
    "the store in the other form": ("PUT", "/api/server/v1/userstores/Q09SUA", WSO2_STORE),
    "the store deleted in the other form": ("DELETE", "/api/server/v1/userstores/Q09SUA", None),
    "a file that changes everything": ("POST", APPLY, {"documents": [organization_file()]}),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_a_delegated_administrator_cannot_reach_beyond_itself_by(http: TestClient, attack: str):
    method, path, body = ATTACKS[attack]

    answer = as_hugo(http, method, path, body)

    assert answer.status_code == 403, answer.text
    assert "/permission/admin" in answer.json()["description"]
    assert http.get(f"/t/acme{USERS}", auth=("boss", PASSWORD)).status_code == 200


ALLOWED = {
    "a password for somebody weaker": ("PUT", f"{USERS}/bob", {"password": "another horse battery"}, 200),
    "its own password": ("PUT", f"{USERS}/hugo", {"password": "another horse battery"}, 200),
    "a new user": ("POST", USERS, {"username": "newcomer", "password": PASSWORD}, 201),
    "a plain client": ("POST", CLIENTS, {"client_id": "fresh", **CLIENT}, 201),
    "a plain client's secret": ("PUT", f"{CLIENTS}/plain", CLIENT, 200),
    "a store of people who hold no more": ("PUT", f"{STORES}/SHOP", STORE, 200),
    "a new store": ("POST", STORES, {"name": "NEW", **STORE}, 201),
}


@pytest.mark.parametrize("act", ALLOWED, ids=str)
def test_a_delegated_administrator_may_still(http: TestClient, act: str):
    method, path, body, status = ALLOWED[act]

    answer = as_hugo(http, method, path, body)

    assert answer.status_code == status, answer.text


def test_a_store_connected_again_under_its_old_name_gives_nobody_its_roles(http: TestClient):
    """The roles name CORP/admins still; whoever answers for CORP would be an administrator."""
    assert http.delete(f"/t/acme{STORES}/CORP", auth=("boss", PASSWORD)).status_code == 204

    assert as_hugo(http, "POST", STORES, {"name": "CORP", **STORE}).status_code == 403
    assert as_hugo(http, "POST", STORES, {"name": "corp", **STORE}).status_code in (400, 403)
    assert as_hugo(http, "POST", "/api/server/v1/userstores", WSO2_STORE).status_code == 403


def test_an_import_makes_nobody_whom_a_role_already_names(http: TestClient):
    people = [{"username": name, "hash": ARGON2} for name in ("later", "fine")]

    answer = as_hugo(http, "POST", f"{USERS}/import", {"users": people})

    assert [one["outcome"] for one in answer.json()["users"]] == ["refused", "created"]
    assert answer.json()["users"][0]["field"] == "username"
    assert as_hugo(http, "GET", f"{USERS}/later").status_code == 404


def test_keys_of_an_application_are_clients_too(http: TestClient):
    """API management makes clients: a publisher of applications gets no client that a role names."""
    path = "/t/acme/api/apim/v1/applications"
    boss = {"auth": ("boss", PASSWORD)}
    role = {"name": "desk", "users": ["bob"], "permissions": ["/permission/admin/manage/api/application"]}
    content = organization_file()
    content["roles"].append(role)
    content["applications"][0]["keys"] = {}
    applied = http.post(f"/t/acme{APPLY}", json={"documents": [content]}, **boss)
    assert applied.status_code == 200, applied.text
    found = {one["name"]: one["id"] for one in http.get(path, **boss).json()["items"]}
    bob = {"auth": ("bob", PASSWORD)}
    made = {"key_type": "SANDBOX", "client_id": "to-come", "grant_types": ["client_credentials"]}

    answers = [
        http.post(f"{path}/{found['Job']}/keys", json=made, **bob),
        http.delete(f"{path}/{found['Console']}/keys/PRODUCTION", **bob),
        http.delete(f"{path}/{found['Console']}", **bob),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert http.delete(f"{path}/{found['Plain']}", **bob).status_code == 204


def test_an_administrator_of_default_without_the_installations_own_applies_no_files(settings: Settings):
    content = organization_file() | {"organization": {"name": "default"}}
    content["roles"][0] = {"name": "admin", "users": ["boss"]}
    content["roles"][1] = {"name": "almost", "users": ["hugo"], "permissions": ["/permission/admin"]}
    for application in content["applications"]:
        application["keys"]["production"]["client_id"] += "-2"
    with TestClient(Local(build_app(settings)), raise_server_exceptions=False) as local:
        answer = local.post(APPLY, json={"documents": [content]})
        assert answer.status_code == 200, answer.text

    with TestClient(build_app(settings), raise_server_exceptions=False) as http:
        others = {"apiVersion": "ostiary/v1", "organization": {"name": "acme"}}
        statuses = [
            http.post(APPLY, json={"documents": [others]}, auth=(who, PASSWORD)).status_code
            for who in ("hugo", "boss")
        ]

    assert statuses == [403, 200]
