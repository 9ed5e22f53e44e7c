"""/api/server/v1/tenants: organizations, made and changed by the installation's administrators."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.http.apim.conftest import Local
from tests.http.test_audit import records_of
from tests.http.test_every_route import PASSWORD, make_administrator

from ostiary.app import Settings, build_app

TENANTS = "/api/server/v1/tenants"
ADMIN = ("admin", PASSWORD)
KIM = {"username": "Kim", "password": "kim's own password", "email": "kim@example.com", "firstname": "Kim"}


@pytest.fixture
def http(settings: Settings) -> Iterator[TestClient]:
    """The installation, as its administrator reaches it."""
    make_administrator(settings)
    with TestClient(build_app(settings), raise_server_exceptions=False) as client:
        client.auth = ADMIN
        yield client


def made(http: TestClient, **body: Any) -> dict[str, Any]:
    answer = http.post(TENANTS, json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{TENANTS}/{answer.json()['id']}"
    return dict(answer.json())


def test_an_organization_is_made_read_and_changed(http: TestClient) -> None:
    tenant = made(http, domain="shop", displayName="The Shop", features=["challenge_questions"])
    identifier = tenant.pop("id")

    assert tenant == {
        "domain": "shop",
        "displayName": "The Shop",
        "features": ["challenge_questions"],
        "chain": "first_known",
    }
    changed = http.put(f"{TENANTS}/{identifier}", json={"displayName": "Shop", "chain": "any"})
    expected = {"id": identifier, "domain": "shop", "displayName": "Shop", "features": [], "chain": "any"}
    assert (changed.status_code, changed.json()) == (200, expected)
    assert http.get(f"{TENANTS}/{identifier}").json() == expected
    assert http.get(f"{TENANTS}/domain/shop").json() == expected


def test_its_first_administrator_administers_it_and_nothing_else(http: TestClient) -> None:
    made(http, domain="shop", owners=[KIM])
    kim = ("kim", KIM["password"])

    assert http.get("/t/shop/api/identity/v1/users/kim", auth=kim).json()["claims"] == {
        "email": "kim@example.com",
        "given_name": "Kim",
    }
    assert http.get("/t/acme/api/identity/v1/users", auth=kim).status_code == 401
    assert http.get(TENANTS, auth=kim).status_code == 401
    assert http.get("/t/shop/api/identity/v1/users", auth=ADMIN).status_code == 401


def test_what_a_feature_begins_with_is_there(http: TestClient) -> None:
    identifier = made(http, domain="shop", owners=[KIM])["id"]
    kim, questions = ("kim", KIM["password"]), "/t/shop/api/server/v1/challenges"
    assert http.get(questions, auth=kim).status_code == 403

    http.put(f"{TENANTS}/{identifier}", json={"displayName": "S", "features": ["challenge_questions"]})

    assert len(http.get(questions, auth=kim).json()) == 2


def test_organizations_are_listed_by_name_a_page_at_a_time(http: TestClient) -> None:
    made(http, domain="shop")

    whole = http.get(TENANTS).json()
    page = http.get(TENANTS, params={"offset": 1, "limit": 1}).json()

    assert [one["domain"] for one in whole["tenants"]] == ["acme", "default", "shop"]
    assert (whole["totalResults"], whole["startIndex"], whole["count"]) == (3, 1, 3)
    assert page == {"totalResults": 3, "startIndex": 2, "count": 1, "tenants": whole["tenants"][1:2]}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "offset=-1", f"offset={10**30}"])
def test_a_page_that_cannot_be_is_refused(http: TestClient, query: str) -> None:
    assert http.get(f"{TENANTS}?{query}").status_code == 400


def test_whether_a_name_is_taken_is_asked_with_head(http: TestClient) -> None:
    taken, free = http.head(f"{TENANTS}/domain/acme"), http.head(f"{TENANTS}/domain/shop")

    assert (taken.status_code, free.status_code) == (200, 404)
    assert http.head(f"{TENANTS}/domain/No%20Name").status_code == 404


def test_a_name_is_given_once_and_the_one_who_has_it_stays(http: TestClient) -> None:
    before = http.get(f"{TENANTS}/domain/acme").json()

    answer = http.post(TENANTS, json={"domain": "acme", "displayName": "Mine", "owners": [KIM]})

    assert answer.status_code == 409
    assert http.get(f"{TENANTS}/domain/acme").json() == before
    assert http.get("/t/acme/api/identity/v1/users", auth=("kim", KIM["password"])).status_code == 401


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "domain"),
        ({"domain": "Shop"}, "domain"),
        ({"domain": "../etc"}, "domain"),
        ({"domain": "s"}, "domain"),
        ({"domain": "shop", "displayName": ""}, "displayName"),
        ({"domain": "shop", "displayName": "a\nb"}, "displayName"),
        ({"domain": "shop", "displayName": "a" * 201}, "displayName"),
        ({"domain": "shop", "features": ["everything"]}, "features"),
        ({"domain": "shop", "chain": "none"}, "chain"),
        ({"domain": "shop", "owner": KIM}, "owner"),
        ({"domain": "shop", "owners": [KIM, {**KIM, "username": "lee"}]}, "owners"),
        ({"domain": "shop", "owners": [{"username": "kim"}]}, "password"),
        ({"domain": "shop", "owners": [{**KIM, "password": "  "}]}, "password"),
        ({"domain": "shop", "owners": [{**KIM, "username": ""}]}, "username"),
        ({"domain": "shop", "owners": [{**KIM, "username": "CORP/kim"}]}, "username"),
        ({"domain": "shop", "owners": [{**KIM, "email": "a" * 1001}]}, "claims"),
        ({"domain": "shop", "owners": [{**KIM, "provisioningMethod": "invite-via-email"}]}, "provisioning"),
    ],
)
def test_what_cannot_be_is_named_and_nothing_is_made(
    http: TestClient, body: dict[str, Any], named: str
) -> None:
    answer = http.post(TENANTS, json=body)

    assert answer.status_code == 400
    assert named in answer.json()["description"]
    assert KIM["password"] not in answer.text
    assert http.get(TENANTS).json()["totalResults"] == 2


@pytest.mark.parametrize("identifier", ["nothing", "0" * 5000, "%00"])
def test_an_organization_that_is_not_there_is_not_found(http: TestClient, identifier: str) -> None:
    assert http.get(f"{TENANTS}/{identifier}").status_code in (400, 404)
    assert http.put(f"{TENANTS}/{identifier}", json={"displayName": "x"}).status_code in (400, 404)


def test_tenants_are_nobodys_to_see_under_an_organization(http: TestClient) -> None:
    assert http.get(f"/t/default{TENANTS}").status_code == 404
    assert http.get(f"/t/acme{TENANTS}").status_code == 404


def test_who_may_list_may_not_make_and_an_administrator_of_all_but_tenants_may_neither(
    settings: Settings, http: TestClient
) -> None:
    listing = "/permission/protected/manage/monitor/tenants/list"
    people = [{"username": name, "password": PASSWORD} for name in ("lister", "boss")]
    roles = [
        {"name": "lister", "users": ["lister"], "permissions": [listing]},
        {"name": "boss", "users": ["boss"], "permissions": ["/permission/admin"]},
    ]
    document = {"apiVersion": "ostiary/v1", "organization": {"name": "default"}}
    with TestClient(Local(build_app(settings))) as local:
        applied = local.post(
            "/api/declarative/v1/apply", json={"documents": [{**document, "users": people, "roles": roles}]}
        )
        assert applied.status_code == 200, applied.text
    lister, boss = ("lister", PASSWORD), ("boss", PASSWORD)

    assert http.get(TENANTS, auth=lister).status_code == 200
    assert http.head(f"{TENANTS}/domain/acme", auth=lister).status_code == 200
    refused = http.post(TENANTS, json={"domain": "shop"}, auth=lister)
    assert refused.status_code == 403
    assert "/permission/protected/manage/modify/tenants" in refused.json()["description"]
    assert http.get(TENANTS, auth=boss).status_code == 403
    assert http.post(TENANTS, json={"domain": "shop"}, auth=boss).status_code == 403


def test_making_an_organization_is_in_the_log_of_whoever_made_it_and_in_its_own(
    settings: Settings, http: TestClient
) -> None:
    made(http, domain="shop", owners=[KIM])
    own = [record["action"] for record in records_of(settings, "shop")]
    (makers,) = [
        record
        for record in records_of(settings, "default")
        if record["target"] == {"kind": "organization", "id": "shop"}
    ]

    assert own[0] == "organization.created"
    assert {"role.created", "user.created", "role.changed"} <= set(own)
    assert (makers["action"], makers["actor"]["name"]) == ("organization.created", "admin@default")
    assert KIM["password"] not in str(records_of(settings, "shop"))
