"""Who may do what over SCIM: scopes and permissions at each operation, /scim2/Me, nobody above oneself."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.http.scim.conftest import BULK, ERROR, GROUP, PATCH, ROLE, SCIM, USER

from ostiary.app import Settings, build_app

PASSWORD, SECRET = "correct horse battery staple", "console-secret"
IDENTITY = "/permission/admin/manage/identity"
As = Callable[..., SCIM]


def organization_file(**permissions: list[str]) -> dict[str, Any]:
    """People with a role each, of their own name; the client `console` for all of them."""
    keys = {
        "client_id": "console",
        "client_secret": SECRET,
        "grant_types": ["password", "client_credentials"],
        "internal_scopes": True,
    }
    return {
        "apiVersion": "ostiary/v1",
        "organization": {"name": "acme"},
        "users": [{"username": who, "password": PASSWORD} for who in permissions],
        "roles": [
            {"name": who, "permissions": nodes, "users": [who, f"{who}-to-be"]}
            for who, nodes in permissions.items()
        ],
        "applications": [{"name": "Console", "owner": "boss", "keys": {"production": keys}}],
    }


@pytest.fixture
def as_user(settings: Settings, scim: SCIM) -> Iterator[As]:
    """SCIM as boss, who may do everything, users or roles, who manage those, or clerk, who may nothing."""
    content = organization_file(
        boss=["/permission/admin"],
        users=[f"{IDENTITY}/usermgt"],
        roles=[f"{IDENTITY}/rolemgt"],
        clerk=[],
    )
    applied = scim.client.post("/t/acme/api/declarative/v1/apply", json={"documents": [content]})
    assert applied.status_code == 200, applied.text

    with TestClient(build_app(settings), raise_server_exceptions=False) as http:

        def log_in(who: str, scope: str = "SYSTEM", password: str = PASSWORD) -> SCIM:
            form = {"grant_type": "password", "username": who, "password": password, "scope": scope}
            answer = http.post("/t/acme/oauth2/token", data=form, auth=("console", SECRET))
            assert answer.status_code == 200, answer.text
            return SCIM(http, headers={"Authorization": f"Bearer {answer.json()['access_token']}"})

        yield log_in


def found(scim: SCIM, kind: str, filter_: str) -> dict[str, Any]:
    return dict(scim.ask("GET", f"/{kind}", params={"filter": filter_}).json()["Resources"][0])


def test_discovery_is_open(as_user: As):
    """RFC 7644 §4."""
    anybody = SCIM(as_user("clerk").client)
    for path in (
        "/ServiceProviderConfig", "/ResourceTypes", "/ResourceTypes/User", "/Schemas", f"/Schemas/{USER}",
    ):  # fmt: skip
        assert anybody.ask("GET", path).status_code == 200, path
    assert anybody.ask("GET", "/Schemas/nothing").status_code == 404
    assert anybody.ask("GET", "/Schemas?filter=id pr").status_code == 403


def test_whoever_has_no_token_or_no_permission_reads_a_scim_error(as_user: As):
    """RFC 7644 §3.12, RFC 6750 §3."""
    clerk = as_user("clerk")
    nobody = SCIM(clerk.client)

    unknown, forbidden = nobody.ask("GET", "/Users"), clerk.ask("GET", "/Users")

    assert [unknown.status_code, forbidden.status_code] == [401, 403]
    assert [answer.json()["schemas"] for answer in (unknown, forbidden)] == [[ERROR]] * 2
    assert [answer.json()["status"] for answer in (unknown, forbidden)] == ["401", "403"]
    assert "internal_user_mgt_list" in unknown.headers["www-authenticate"]


def test_a_token_is_for_its_scopes_alone(as_user: As):
    boss = as_user("boss", "internal_user_mgt_list internal_role_mgt_view")

    assert boss.ask("GET", "/Users").status_code == 200
    assert boss.ask("GET", "/Roles").status_code == 200
    assert boss.ask("POST", "/Users", {"schemas": [USER], "userName": "x"}).status_code == 403
    assert boss.ask("POST", "/Roles", {"schemas": [ROLE], "displayName": "x"}).status_code == 403


def test_each_operation_of_a_bulk_request_takes_what_it_takes_alone(scim: SCIM, as_user: As):
    users = as_user("users")
    role = found(scim, "Roles", 'displayName eq "clerk"')
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"schemas": [USER], "userName": "x"}},
        {
            "method": "POST",
            "path": "/Groups",
            "bulkId": "b",
            "data": {"schemas": [GROUP], "displayName": "x"},
        },
        {"method": "DELETE", "path": f"/Roles/{role['id']}"},
    ]

    answer = users.ask("POST", "/Bulk", {"schemas": [BULK], "Operations": operations})
    entered = as_user("roles").ask("POST", "/Bulk", {"schemas": [BULK], "Operations": operations})

    assert [one["status"] for one in answer.json()["Operations"]] == ["201", "403", "403"]
    assert entered.status_code == 403


def test_nobody_gives_a_role_that_gives_more_than_one_has(scim: SCIM, as_user: As):
    roles = as_user("roles")
    clerk = found(scim, "Users", 'userName eq "clerk"')["id"]
    admin = found(scim, "Roles", 'displayName eq "boss"')
    own = found(scim, "Roles", 'displayName eq "roles"')
    place = f"/Groups/{admin['id']}"

    answers = [
        roles.ask(
            "POST", "/Roles", {"schemas": [ROLE], "displayName": "x", "permissions": ["/permission/admin"]}
        ),
        roles.patch(place, {"op": "add", "path": "members", "value": [{"value": clerk}]}),
        roles.patch(place, {"op": "remove", "path": "members"}),
        roles.patch(
            f"/Roles/{own['id']}", {"op": "add", "path": "permissions", "value": ["/permission/admin"]}
        ),
        roles.ask("DELETE", place),
    ]
    held = roles.patch(f"/Groups/{own['id']}", {"op": "add", "path": "members", "value": [{"value": clerk}]})

    assert [answer.status_code for answer in answers] == [403] * 5
    assert "/permission/admin" in answers[0].json()["detail"]
    assert held.status_code == 204
    assert found(scim, "Roles", 'displayName eq "boss"') == admin


def test_nobody_takes_over_who_may_do_more(scim: SCIM, as_user: As):
    users = as_user("users")
    boss = found(scim, "Users", 'userName eq "boss"')
    clerk = found(scim, "Users", 'userName eq "clerk"')
    place = f"/Users/{boss['id']}"

    answers = [
        users.patch(place, {"op": "replace", "path": "password", "value": "mine"}),
        users.patch(place, {"op": "add", "path": "emails", "value": [{"value": "me@acme.example"}]}),
        users.patch(place, {"op": "replace", "path": "active", "value": False}),
        users.ask("PUT", place, {"schemas": [USER], "userName": "boss", "active": True, "title": "x"}),
        users.ask("DELETE", place),
        users.ask("POST", "/Users", {"schemas": [USER], "userName": "boss-to-be", "password": "mine"}),
    ]
    allowed = users.patch(f"/Users/{clerk['id']}", {"op": "replace", "path": "password", "value": "new"})

    assert [answer.status_code for answer in answers] == [403] * 6
    assert allowed.status_code == 204
    assert found(scim, "Users", 'userName eq "boss"') == boss
    assert (
        scim.ask("GET", "/Users", params={"filter": 'userName eq "boss-to-be"'}).json()["totalResults"] == 0
    )


def test_a_new_password_and_a_disabled_user_end_the_tokens(scim: SCIM, as_user: As):
    clerk = as_user("clerk")
    place = "/Users/" + found(scim, "Users", 'userName eq "clerk"')["id"]
    assert clerk.ask("GET", "/Me").status_code == 200

    scim.patch(place, {"op": "replace", "path": "password", "value": "another"})

    assert clerk.ask("GET", "/Me").status_code == 401
    again = as_user("clerk", password="another")
    scim.patch(place, {"op": "replace", "path": "active", "value": False})
    assert again.ask("GET", "/Me").status_code == 401


def test_everybody_reads_oneself(scim: SCIM, as_user: As):
    """RFC 7644 §3.11."""
    me = as_user("clerk", "internal_login").ask("GET", "/Me")

    whole = found(scim, "Users", 'userName eq "clerk"')
    assert (me.status_code, me.json()) == (200, whole)
    assert me.headers["location"] == whole["meta"]["location"]


def test_one_changes_of_oneself_what_nobody_relies_on(as_user: As):
    clerk = as_user("clerk")

    changed = clerk.patch("/Me", {"op": "replace", "path": "displayName", "value": "Clerk"})
    refused = [
        clerk.patch("/Me", {"op": "add", "path": path, "value": value})
        for path, value in (
            ("emails", [{"value": "boss@acme.example"}]),
            ("phoneNumbers", [{"value": "112"}]),
            ("password", "new"),
            ("active", False),
            ("externalId", "boss"),
            ("title", "Boss"),
        )
    ]

    assert changed.status_code == 204, changed.text
    assert clerk.ask("GET", "/Me").json()["displayName"] == "Clerk"
    assert [(answer.status_code, answer.json()["scimType"]) for answer in refused] == [
        (400, "mutability")
    ] * 6


def test_a_client_is_nobody_to_read_about(as_user: As):
    clerk = as_user("clerk")
    form = {"grant_type": "client_credentials", "scope": "SYSTEM"}
    token = clerk.client.post("/t/acme/oauth2/token", data=form, auth=("console", SECRET)).json()

    client = SCIM(clerk.client, headers={"Authorization": f"Bearer {token['access_token']}"})

    assert client.ask("GET", "/Me").status_code in (401, 403)
    assert client.ask("PATCH", "/Me", {"schemas": [PATCH], "Operations": []}).status_code in (401, 403)


@pytest.mark.parametrize("path", ["/ServiceProviderConfig", "/Schemas", "/ResourceTypes/User"])
def test_what_there_is_of_scim_is_not_told_of_an_organization_that_is_not(whole_app: TestClient, path: str):
    answer = whole_app.get(f"/t/nowhere/scim2{path}")

    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is no such organization"
