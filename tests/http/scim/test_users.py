"""/scim2/Users: RFC 7644 §3, RFC 7643 §4.1."""

from typing import Any

import pytest
from tests.http.scim.conftest import ERROR, SCIM, USER

WHOLE = {
    "name": {"givenName": "Bob", "familyName": "Marley", "formatted": "Bob Marley"},
    "displayName": "Bobby",
    "externalId": "4711",
    "title": "Singer",
    "emails": [
        {"value": "bob@acme.example", "type": "work", "primary": True},
        {"value": "bob@home.example", "type": "home"},
    ],
    "addresses": [{"locality": "Kingston", "type": "home"}],
}


def error(status: int, detail: str, scim_type: str | None = None) -> dict[str, Any]:
    typed = {"scimType": scim_type} if scim_type else {}
    return {"schemas": [ERROR], "status": str(status), **typed, "detail": detail}


def test_a_user_is_made_and_read_as_it_was_said(scim: SCIM):
    """RFC 7644 §3.3, §3.4.1."""
    made = scim.ask("POST", "/Users", {"schemas": [USER], "userName": "Bob", "password": "a secret", **WHOLE})

    said = made.json()
    place = f"https://localhost:9443/t/acme/scim2/Users/{said['id']}"
    assert made.status_code == 201
    assert made.headers["location"] == said["meta"]["location"] == place
    assert made.headers["content-type"] == "application/scim+json"
    assert said == {
        "schemas": [USER],
        "id": said["id"],
        "meta": said["meta"],
        "userName": "bob",
        "active": True,
        **WHOLE,
    }
    read = scim.ask("GET", f"/Users/{said['id']}")
    assert (read.status_code, read.json()) == (200, said)
    assert read.headers["etag"] == said["meta"]["version"]


def test_claims_and_attributes_are_one_thing(scim: SCIM):
    """What SCIM says is in tokens, and what the REST API says is in SCIM."""
    made = scim.user("bob", **WHOLE)
    users = "/t/acme/api/identity/v1/users/bob"

    claims = scim.client.get(users).json()["claims"]
    scim.client.put(users, json={"claims": {**claims, "email": "new@acme.example", "team": "a"}})

    assert claims == {
        "name": "Bob Marley",
        "given_name": "Bob",
        "family_name": "Marley",
        "display_name": "Bobby",
        "email": "bob@acme.example",
    }
    read = scim.ask("GET", f"/Users/{made['id']}").json()
    assert [entry["value"] for entry in read["emails"]] == ["new@acme.example", "bob@home.example"]
    scim.patch(f"/Users/{made['id']}", {"op": "remove", "path": "name"})
    assert scim.client.get(users).json()["claims"] == {
        "display_name": "Bobby",
        "email": "new@acme.example",
        "team": "a",
    }


def test_a_claim_that_scim_would_not_take_is_shown_all_the_same(scim: SCIM):
    claims = {"email": "not an address", "profile": "not a URL", "locale": "", "phone_number": "x"}
    body = {"username": "bob", "password": "a secret", "claims": claims}
    assert scim.client.post("/t/acme/api/identity/v1/users", json=body).status_code == 201

    listed = scim.ask("GET", "/Users")

    assert listed.status_code == 200
    assert listed.json()["Resources"][0]["emails"] == [{"value": "not an address", "primary": True}]


def test_a_taken_name_is_a_conflict(scim: SCIM):
    scim.user("bob")

    again = scim.ask("POST", "/Users", {"schemas": [USER], "userName": "BOB@acme"})

    expected = error(409, "userName: one that no user of the organization has", "uniqueness")
    assert (again.status_code, again.json()) == (409, expected)


BAD: tuple[tuple[Any, str], ...] = (
    ({"userName": "a b"}, "userName"),
    ({"userName": "CORP/bob"}, "userName"),
    ({"userName": ""}, "userName"),
    ({}, "userName"),
    ({"userName": "bob", "password": " "}, "password"),
    ({"userName": "bob", "password": 7}, "password"),
    ({"userName": "bob", "externalId": "x" * 256}, "externalId"),
    ({"userName": "bob", "displayName": "x" * 1001}, "claims"),
    ({"userName": "bob", "displayName": "a\x00b"}, "claims"),
    ({"userName": "bob", "title": "a\x00b"}, "attributes"),
    ({"userName": "bob", "title": "x" * 20_000}, "attributes"),
    ({"userName": "bob", "emails": "bob@acme.example"}, "emails"),
    ({"userName": "bob", "active": "perhaps"}, "active"),
    ({"userName": "bob", "schemas": ["urn:x"]}, "schemas"),
    ([], ""),
    ("x", ""),
)


def test_bad_input_names_the_attribute_and_changes_nothing(scim: SCIM):
    """RFC 7644 §3.12."""
    for body, named in BAD:
        answer = scim.ask("POST", "/Users", {"schemas": [USER], **body} if isinstance(body, dict) else body)
        told = answer.json()
        assert (answer.status_code, told["schemas"], told["status"]) == (400, [ERROR], "400"), body
        assert named.lower() in told["detail"].lower().replace("_", "")
    assert scim.ask("GET", "/Users").json()["totalResults"] == 0


def test_a_password_is_never_told_again(scim: SCIM):
    """RFC 7643 §4.1.1."""
    made = scim.user("bob", password="correct horse")
    place = f"/Users/{made['id']}"

    answers = [
        scim.ask("GET", f"{place}?attributes=password"),
        scim.ask("GET", '/Users?filter=password eq "correct horse"'),
        scim.ask("GET", "/Users?sortBy=password"),
        scim.patch(place, {"op": "replace", "path": "password", "value": "battery staple\x00"}),
        scim.patch(place, {"op": "replace", "path": "password", "value": ["battery staple"]}),
        scim.patch(place, {"op": "replace", "path": "password", "value": "battery staple"}),
    ]

    assert [answer.status_code for answer in answers[-3:]] == [400, 400, 204]
    assert all("horse" not in answer.text and "staple" not in answer.text for answer in answers), [
        a.text for a in answers
    ]


def test_a_user_is_replaced(scim: SCIM):
    """RFC 7644 §3.5.1."""
    made = scim.user("bob", **WHOLE)

    changed = scim.ask(
        "PUT",
        f"/Users/{made['id']}",
        {"schemas": [USER], "userName": "bob", "active": True, "displayName": "Robert"},
    )

    said = changed.json()
    assert changed.status_code == 200, changed.text
    assert said == {
        "schemas": [USER],
        "id": made["id"],
        "meta": said["meta"],
        "userName": "bob",
        "active": True,
        "displayName": "Robert",
    }
    assert said["meta"]["version"] != made["meta"]["version"]


def test_whoever_replaces_a_disabled_user_has_to_say_whether_it_is_active(scim: SCIM):
    made = scim.user("bob", active=False)

    left_out = scim.ask("PUT", f"/Users/{made['id']}", {"schemas": [USER], "userName": "bob"})

    assert left_out.status_code == 400
    assert scim.ask("GET", f"/Users/{made['id']}").json()["active"] is False


def test_a_name_is_for_good(scim: SCIM):
    """RFC 7643 §7: userName is immutable here. Another case is the same name."""
    made = scim.user("bob")
    place = f"/Users/{made['id']}"

    same = scim.ask("PUT", place, {"schemas": [USER], "userName": "BOB", "active": True})
    other = scim.ask("PUT", place, {"schemas": [USER], "userName": "rob", "active": True})
    patched = scim.patch(place, {"op": "replace", "path": "userName", "value": "rob"})

    assert [same.status_code, other.status_code, patched.status_code] == [200, 400, 400]
    assert {other.json()["scimType"], patched.json()["scimType"]} == {"mutability"}
    assert same.json()["userName"] == "bob"


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "title", "value": "Boss"},
        {"op": "Replace", "value": {"title": "Boss"}},
        {"op": "add", "path": f"{USER}:title", "value": "Boss"},
    ],
    ids=str,
)
def test_a_user_is_patched(scim: SCIM, operation: dict[str, Any]):
    """RFC 7644 §3.5.2."""
    made = scim.user("bob")

    changed = scim.patch(f"/Users/{made['id']}?attributes=title", operation)

    assert (changed.status_code, changed.json()["title"]) == (200, "Boss")


def test_the_way_entra_patches_is_understood(scim: SCIM):
    made = scim.user("bob")
    place = f"/Users/{made['id']}"
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

    changed = scim.patch(
        place,
        {"op": "Add", "path": 'emails[type eq "work"].value', "value": "bob@corp.local"},
        {"op": "Add", "path": "name.givenName", "value": "Bob"},
        {"op": "Add", "path": f"{enterprise}:department", "value": "Sales"},
        {"op": "Replace", "path": "active", "value": "False"},
    )

    read = scim.ask("GET", place).json()
    assert changed.status_code in (200, 204), changed.text
    assert (read["emails"], read["name"]) == (
        [{"value": "bob@corp.local", "type": "work"}],
        {"givenName": "Bob"},
    )
    assert read["active"] is False


def test_nothing_is_changed_where_the_version_is_another(scim: SCIM):
    """RFC 7644 §3.14, RFC 9110 §13.1."""
    made = scim.user("bob")
    place, version = f"/Users/{made['id']}", made["meta"]["version"]
    change = {"op": "replace", "path": "title", "value": "Boss"}

    unchanged = scim.ask("GET", place, headers={"If-None-Match": version})
    first = scim.patch(place, change, headers={"If-Match": version})
    stale = scim.patch(place, {**change, "value": "Clerk"}, headers={"If-Match": version})
    gone = scim.ask("DELETE", place, headers={"If-Match": version})

    assert [unchanged.status_code, first.status_code, stale.status_code, gone.status_code] == [
        304, 204, 412, 412,
    ]  # fmt: skip
    assert (unchanged.content, stale.json()["status"]) == (b"", "412")
    assert scim.ask("GET", place).json()["title"] == "Boss"


def test_a_deleted_user_is_gone(scim: SCIM):
    """RFC 7644 §3.6."""
    made = scim.user("bob")

    assert scim.ask("DELETE", f"/Users/{made['id']}").status_code == 204
    for method in ("GET", "DELETE"):
        again = scim.ask(method, f"/Users/{made['id']}")
        assert (again.status_code, again.json()) == (404, error(404, "there is no such user"))
    assert scim.ask("GET", "/Users").json()["totalResults"] == 0
    assert scim.user("bob")["id"] != made["id"]


def test_an_odd_identifier_is_just_not_found(scim: SCIM):
    for identifier in ("nothing", "x" * 300, "%C3%9F", "Me", ".search"):
        for kind in ("Users", "Groups", "Roles"):
            for method in ("GET", "DELETE"):
                answer = scim.ask(method, f"/{kind}/{identifier}")
                assert (answer.status_code, answer.json()["schemas"]) == (404, [ERROR]), identifier


def test_only_what_is_asked_for_is_told(scim: SCIM):
    """RFC 7644 §3.9."""
    made = scim.user("bob", **WHOLE)
    place = f"/Users/{made['id']}"

    assert scim.ask("GET", f"{place}?attributes=name.givenName,title").json() == {
        "schemas": [USER],
        "id": made["id"],
        "name": {"givenName": "Bob"},
        "title": "Singer",
    }
    assert "emails" not in scim.ask("GET", f"{place}?excludedAttributes=emails").json()


def test_addresses_are_of_the_settings_and_of_no_header(scim: SCIM):
    made = scim.ask(
        "POST",
        "/Users",
        {"schemas": [USER], "userName": "bob"},
        headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"},
    )

    assert "evil" not in made.text + str(made.headers)
