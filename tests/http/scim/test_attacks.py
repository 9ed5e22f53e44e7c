"""What nobody can do over SCIM, whatever is sent."""

import json
from collections.abc import Callable
from typing import Any

from tests.http.scim.conftest import BULK, ERROR, GROUP, PATCH, ROLE, SCIM, USER

Elsewhere = Callable[[str], SCIM]


def test_another_organizations_identifiers_are_not_found(scim: SCIM, elsewhere: Elsewhere):
    other = elsewhere("default")
    user, role = scim.user("zoe", externalId="z"), scim.group("staff", externalId="s")
    bodies: dict[str, Any] = {
        "Users": {"schemas": [USER], "userName": "zoe", "active": False},
        "Groups": {"schemas": [GROUP], "displayName": "staff"},
        "Roles": {"schemas": [ROLE], "displayName": "staff"},
    }
    for kind, identifier in (("Users", user["id"]), ("Groups", role["id"]), ("Roles", role["id"])):
        place = f"/{kind}/{identifier}"
        answers = [
            other.ask("GET", place),
            other.ask("PUT", place, bodies[kind]),
            other.patch(place, {"op": "replace", "path": "externalId", "value": "mine"}),
            other.ask("DELETE", place),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4, kind
        assert other.ask("GET", f'/{kind}?filter=id eq "{identifier}"').json()["totalResults"] == 0

    assert other.ask("GET", '/Users?filter=externalId eq "z"').json()["totalResults"] == 0
    assert other.ask("GET", '/Groups?filter=externalId eq "s"').json()["totalResults"] == 0
    assert scim.ask("GET", f"/Users/{user['id']}").json() == user


def test_another_organizations_user_gets_no_role(scim: SCIM, elsewhere: Elsewhere):
    user, other = scim.user("zoe"), elsewhere("default")
    made = other.group("staff")

    created = other.ask(
        "POST", "/Groups", {"schemas": [GROUP], "displayName": "more", "members": [{"value": user["id"]}]}
    )
    added = other.patch(
        f"/Groups/{made['id']}", {"op": "add", "path": "members", "value": [{"value": user["id"]}]}
    )

    assert [created.status_code, added.status_code] == [400, 400]
    assert created.json()["scimType"] == "invalidValue"
    assert other.ask("GET", '/Groups?filter=displayName eq "more"').json()["totalResults"] == 0


def test_whoever_bears_a_deleted_users_name_gets_none_of_its_roles(scim: SCIM):
    first = scim.user("bob")
    role = scim.group("staff", first["id"])
    scim.ask("DELETE", f"/Users/{first['id']}")

    second = scim.user("bob")

    assert "groups" not in scim.ask("GET", f"/Users/{second['id']}").json()
    assert "members" not in scim.ask("GET", f"/Groups/{role['id']}").json()
    scim.patch(f"/Groups/{role['id']}", {"op": "add", "path": "members", "value": [{"value": second["id"]}]})
    listed = scim.ask("GET", f"/Groups/{role['id']}").json()["members"]
    assert [member["value"] for member in listed] == [second["id"]]


def test_the_role_admin_stays_what_it_is(scim: SCIM):
    scim.client.post(
        "/t/acme/api/declarative/v1/apply",
        json={"documents": [{"apiVersion": "ostiary/v1", "organization": {"name": "acme"},
                             "roles": [{"name": "admin", "users": []}]}]},
    )  # fmt: skip
    admin = scim.ask("GET", '/Roles?filter=displayName eq "admin"').json()["Resources"][0]
    place = f"/Roles/{admin['id']}"

    answers = [
        scim.patch(place, {"op": "remove", "path": "permissions"}),
        scim.patch(place, {"op": "replace", "path": "displayName", "value": "clerk"}),
        scim.ask("DELETE", place),
    ]

    assert [(answer.status_code, answer.json()["scimType"]) for answer in answers] == [
        (400, "mutability")
    ] * 3


def test_read_only_and_unknown_attributes_are_not_taken(scim: SCIM):
    made = scim.user("bob", id="chosen", meta={"version": "mine"}, roles=[{"value": "admin"}], groups=[])

    taken = scim.patch(f"/Users/{made['id']}", {"op": "add", "path": "groups", "value": [{"value": "x"}]})

    assert made["id"] != "chosen"
    assert "roles" not in made
    assert taken.status_code == 400


NESTED = "[" * 100_000
BODIES = [
    b"",
    b"{",
    b"null",
    b"\xff\xfe",
    NESTED.encode(),
    b'{"schemas": ' + NESTED.encode(),
    json.dumps({"schemas": [USER], "userName": "x", "name": "y"}).encode(),
    json.dumps({"schemas": [USER], "userName": "x", "title": "\ud800"}).encode(),
    json.dumps({"schemas": [USER], "userName": "\ud800"}).encode(),
    json.dumps({"schemas": [PATCH], "Operations": []}).encode(),
    json.dumps({"schemas": [PATCH], "Operations": [{"op": "explode"}]}).encode(),
    json.dumps({"schemas": [PATCH], "Operations": [{"op": "add", "path": "(" * 5_000, "value": 1}]}).encode(),
    json.dumps({"schemas": [PATCH], "Operations": [{"op": "add", "path": "a[" * 5_000}]}).encode(),
    json.dumps({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "meta", "value": {}}]}).encode(),
    json.dumps({"schemas": [PATCH], "Operations": [{"op": "remove"}]}).encode(),
    json.dumps({"schemas": [PATCH], "Operations": [{"op": "add", "value": {"title": "\x00"}}]}).encode(),
    json.dumps({"schemas": [PATCH], "Operations": [{"op": "add", "path": "members", "value": "x"}]}).encode(),
    json.dumps({"schemas": [GROUP], "displayName": "g", "members": [{"value": "\x00"}]}).encode(),
    json.dumps({"schemas": [GROUP], "displayName": "g", "members": [{}]}).encode(),
    json.dumps({"schemas": [GROUP], "displayName": "\ud800"}).encode(),
    json.dumps({"schemas": [ROLE], "displayName": "g", "permissions": ["admin"]}).encode(),
    json.dumps({"schemas": [ROLE], "displayName": "g", "permissions": ["/permission/\x00"]}).encode(),
    json.dumps({"schemas": [BULK], "Operations": "x"}).encode(),
    b'{"schemas": ["%s"], "userName": "x", "userName": "y"}' % USER.encode(),
    b'{"schemas": ["%s"], "displayName": "x", "displayName": "y"}' % GROUP.encode(),
]


def test_no_body_makes_a_fault_of_ours(scim: SCIM):
    """What is refused or ignored has changed nothing."""
    user, role = scim.user("bob"), scim.group("staff")
    before = [scim.ask("GET", f"/Users/{user['id']}").json(), scim.ask("GET", "/Groups").json()]

    for body in BODIES:
        for method, path in (
            ("POST", "/Users"), ("PUT", f"/Users/{user['id']}"), ("PATCH", f"/Users/{user['id']}"),
            ("POST", "/Groups"), ("PUT", f"/Groups/{role['id']}"), ("PATCH", f"/Groups/{role['id']}"),
            ("POST", "/Roles"), ("PUT", f"/Roles/{role['id']}"), ("PATCH", f"/Roles/{role['id']}"),
            ("POST", "/Users/.search"), ("POST", "/Bulk"),
        ):  # fmt: skip
            answer = scim.client.request(method, f"/t/acme/scim2{path}", content=body)
            assert answer.status_code in (204, 400, 501), f"{method} {path} {body[:90]!r} {answer.text}"
    after = [scim.ask("GET", f"/Users/{user['id']}").json(), scim.ask("GET", "/Groups").json()]
    assert after == before


def test_a_body_has_a_largest_size(scim: SCIM):
    answer = scim.ask("POST", "/Users", {"schemas": [USER], "userName": "x" * 300_000})

    assert (answer.status_code, answer.json()["status"]) == (413, "413")


def test_a_body_is_json(scim: SCIM):
    answer = scim.client.post(
        "/t/acme/scim2/Users", content="userName=x", headers={"Content-Type": "text/plain"}
    )

    assert answer.status_code == 415


def test_what_is_not_there_is_a_scim_error(scim: SCIM):
    for method, path, status in (
        ("GET", "/Nothing", 404),
        ("GET", "", 404),
        ("GET", "/Users/a/b", 404),
        ("DELETE", "/Users", 405),
        ("DELETE", "/Me", 405),
    ):
        answer = scim.ask(method, path)
        assert (answer.status_code, answer.json()["schemas"]) == (status, [ERROR]), path
