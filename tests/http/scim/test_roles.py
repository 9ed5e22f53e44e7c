"""/scim2/Groups and /scim2/Roles: two views of the same roles (ADR 0018, RFC 7643 §4.2)."""

from collections.abc import Callable
from typing import Any

from tests.http.scim.conftest import ERROR, GROUP, ROLE, SCIM

NODE = "/permission/admin/manage/identity/usermgt/view"


def apply(scim: SCIM, **parts: Any) -> dict[str, Any]:
    """What an organization file with these parts has changed."""
    document = {"apiVersion": "ostiary/v1", "organization": {"name": "acme"}, **parts}
    answer = scim.client.post("/t/acme/api/declarative/v1/apply", json={"documents": [document]})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["organizations"][0])


def values(entries: list[dict[str, Any]] | None) -> set[str]:
    return {entry["value"] for entry in entries or ()}


def test_a_group_is_a_role_with_its_users(scim: SCIM):
    bob = scim.user("bob")

    made = scim.group("staff", bob["id"], externalId="g-1")

    place = f"https://localhost:9443/t/acme/scim2/Users/{bob['id']}"
    assert made == {
        "schemas": [GROUP],
        "id": made["id"],
        "externalId": "g-1",
        "meta": made["meta"],
        "displayName": "staff",
        "members": [{"value": bob["id"], "$ref": place, "type": "User"}],
    }
    assert scim.ask("GET", f"/Roles/{made['id']}").json() == {
        "schemas": [ROLE],
        "id": made["id"],
        "externalId": "g-1",
        "meta": {
            **made["meta"],
            "resourceType": "Role",
            "location": made["meta"]["location"].replace("Groups", "Roles"),
        },
        "displayName": "staff",
        "users": made["members"],
    }
    assert scim.ask("GET", f"/Users/{bob['id']}").json()["groups"] == [
        {
            "value": made["id"],
            "$ref": made["meta"]["location"],
            "display": "staff",
            "type": "direct",
        }
    ]


def test_a_role_is_made_with_permissions(scim: SCIM):
    said = {"schemas": [ROLE], "displayName": "support", "permissions": [NODE, NODE]}

    made = scim.ask("POST", "/Roles", said)
    odd = scim.ask("POST", "/Roles", {**said, "displayName": "odd", "permissions": ["/permission/nothing"]})
    again = scim.ask("POST", "/Roles", said)

    assert (made.status_code, made.json()["permissions"]) == (201, [NODE])
    assert (odd.status_code, odd.json()["scimType"]) == (400, "invalidValue")
    assert (again.status_code, again.json()["scimType"]) == (409, "uniqueness")


def test_members_come_and_go_one_by_one(scim: SCIM):
    """RFC 7644 §3.5.2."""
    bob, ann = scim.user("bob")["id"], scim.user("ann")["id"]
    place = f"/Groups/{scim.group('staff', bob)['id']}"

    def members() -> set[str]:
        return values(scim.ask("GET", place).json().get("members"))

    scim.patch(place, {"op": "add", "path": "members", "value": [{"value": ann}]})
    assert members() == {bob, ann}
    scim.patch(place, {"op": "remove", "path": f'members[value eq "{bob}"]'})
    assert members() == {ann}
    scim.patch(place, {"op": "replace", "path": "members", "value": [{"value": bob}]})
    assert members() == {bob}
    scim.patch(place, {"op": "Remove", "path": "members", "value": [{"value": bob}]})  # as Entra sends it
    assert members() == set()


def test_a_member_has_to_be_somebody(scim: SCIM):
    place = f"/Groups/{scim.group('staff')['id']}"

    answer = scim.patch(place, {"op": "add", "path": "members", "value": [{"value": "nobody"}]})

    assert answer.json() == {
        "schemas": [ERROR],
        "status": "400",
        "scimType": "invalidValue",
        "detail": "members: there is no user 'nobody'",
    }


def test_what_scim_does_not_show_stays(scim: SCIM):
    """Groups of stores, clients and names nobody has borne yet are said elsewhere."""
    store = {"name": "CORP", "type": "rest", "url": "http://127.0.0.1:9/login"}
    apply(
        scim,
        user_stores=[store],
        users=[{"username": "bob", "password": "a secret"}],
        roles=[
            {"name": "staff", "users": ["bob", "CORP/zoe"], "groups": ["CORP/sales"], "permissions": [NODE]}
        ],
    )
    role = scim.ask("GET", '/Groups?filter=displayName eq "staff"').json()["Resources"][0]
    ann = scim.user("ann")["id"]

    scim.ask(
        "PUT",
        f"/Groups/{role['id']}",
        {"schemas": [GROUP], "displayName": "staff", "members": [{"value": ann}]},
    )

    picture = scim.client.get("/t/acme/scim2/Roles/" + role["id"]).json()
    assert (values(picture["users"]), picture["permissions"]) == ({ann}, [NODE])
    said = {"name": "staff", "users": ["ann", "CORP/zoe"], "groups": ["CORP/sales"], "permissions": [NODE]}
    assert apply(scim, roles=[said])["changes"] == []


def test_names_of_members_are_told_when_they_are_asked_for(scim: SCIM):
    bob = scim.user("bob")["id"]
    place = f"/Groups/{scim.group('staff', bob)['id']}"

    asked = scim.ask("GET", f"{place}?attributes=members.display").json()

    assert asked["members"] == [{"display": "bob"}]
    assert "members" not in scim.ask("GET", f"{place}?excludedAttributes=members").json()
    assert "members" not in scim.ask("GET", "/Groups?excludedAttributes=members").json()["Resources"][0]


def test_a_role_has_a_version(scim: SCIM):
    """RFC 7644 §3.14."""
    bob = scim.user("bob")["id"]
    made = scim.group("staff")
    place, version = f"/Groups/{made['id']}", made["meta"]["version"]
    add = {"op": "add", "path": "members", "value": [{"value": bob}]}

    first = scim.patch(place, add, headers={"If-Match": version})
    stale = scim.ask("DELETE", place, headers={"If-Match": version})

    assert [first.status_code, stale.status_code] == [204, 412]
    assert scim.ask("DELETE", place).status_code == 204
    assert scim.ask("GET", place).status_code == 404
    assert "groups" not in scim.ask("GET", f"/Users/{bob}").json()


def test_built_in_roles_stay(scim: SCIM, elsewhere: Callable[[str], SCIM]):
    document = {"apiVersion": "ostiary/v1", "organization": {"name": "fresh"}}
    scim.client.post("/api/declarative/v1/apply", json={"documents": [document]})
    scim = elsewhere("fresh")
    listed = scim.ask("GET", "/Groups").json()["Resources"]
    everyone = next(one for one in listed if one["displayName"] == "everyone")
    bob = scim.user("bob")["id"]
    add = {"op": "add", "path": "members", "value": [{"value": bob}]}

    answers = [scim.ask("DELETE", f"/Groups/{one['id']}") for one in listed]
    answers.append(scim.patch(f"/Groups/{everyone['id']}", add))

    assert {(answer.status_code, answer.json()["scimType"]) for answer in answers} == {(400, "mutability")}
