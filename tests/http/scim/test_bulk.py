"""/scim2/Bulk: RFC 7644 §3.7."""

from typing import Any

from tests.http.scim.conftest import BULK, GROUP, PATCH, SCIM, USER


def bulk(scim: SCIM, *operations: dict[str, Any], **options: Any) -> Any:
    return scim.ask("POST", "/Bulk", {"schemas": [BULK], "Operations": list(operations), **options})


def a_user(name: str, bulk_id: str) -> dict[str, Any]:
    data = {"schemas": [USER], "userName": name, "password": "a secret"}
    return {"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": data}


def test_what_is_made_can_be_referred_to(scim: SCIM):
    """RFC 7644 §3.7.2."""
    group = {"schemas": [GROUP], "displayName": "staff", "members": [{"value": "bulkId:one"}]}

    answer = bulk(
        scim, {"method": "POST", "path": "/Groups", "bulkId": "two", "data": group}, a_user("bob", "one")
    )

    outcomes = answer.json()["Operations"]
    assert [(one["bulkId"], one["status"]) for one in outcomes] == [("two", "201"), ("one", "201")]
    members = scim.ask("GET", '/Groups?filter=displayName eq "staff"').json()["Resources"][0]["members"]
    assert outcomes[1]["location"].endswith(members[0]["value"])


def test_an_operation_that_fails_does_not_undo_the_others(scim: SCIM):
    bob = scim.user("bob")

    answer = bulk(
        scim,
        a_user("bob", "taken"),
        {"method": "PATCH", "path": f"/Users/{bob['id']}", "version": 'W/"other"',
         "data": {"schemas": [PATCH], "Operations": [{"op": "remove", "path": "title"}]}},
        {"method": "GET", "path": f"/Users/{bob['id']}"},
        {"method": "PATCH", "path": "/Me", "data": {"schemas": [PATCH], "Operations": []}},
        {"method": "DELETE", "path": "/Schemas/x"},
        {"method": "DELETE", "path": f"/Users/{bob['id']}"},
        a_user("ann", "last"),
    )  # fmt: skip

    assert [one["status"] for one in answer.json()["Operations"]] == [
        "409", "412", "400", "400", "405", "204", "201",
    ]  # fmt: skip


def test_it_stops_after_so_many_errors(scim: SCIM):
    """RFC 7644 §3.7.3."""
    scim.user("bob")

    answer = bulk(scim, a_user("bob", "a"), a_user("bob", "b"), a_user("ann", "c"), failOnErrors=2)

    assert len(answer.json()["Operations"]) == 2
    assert scim.ask("GET", "/Users").json()["totalResults"] == 1


def test_there_are_not_too_many(scim: SCIM):
    """RFC 7644 §3.7.4."""
    many = bulk(scim, *(a_user(f"user-{number}", str(number)) for number in range(101)))
    large = bulk(scim, {**a_user("bob", "a"), "data": {"schemas": [USER], "userName": "x" * 1_100_000}})

    assert [many.status_code, large.status_code] == [413, 413]
    assert scim.ask("GET", "/Users").json()["totalResults"] == 0
