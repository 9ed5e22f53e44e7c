"""Auth of resources, credentials, CORS, the default version and deny policies in organization files."""

from typing import Any

import pytest
from tests.http.declarative.files import apply, here, lines, refusals, the_example

from ostiary import apim
from ostiary.foundation.database import Database

DENY: list[dict[str, Any]] = [
    {"condition": "IP", "value": "::ffff:192.0.2.7"},
    {"condition": "IPRANGE", "value": "10.0.0.0/8", "invert": True, "enabled": False},
    {"condition": "USER", "value": "EXTERNAL/mallory@my_company"},
    {"condition": "APPLICATION", "value": "bob:Mobile"},
    {"condition": "API", "value": "/orders/1.0.0"},
]
SAID: dict[str, Any] = {
    "security": ["oauth2", "api_key"],
    "cors": {"origins": ["https://shop.example"], "credentials": True},
    "default_version": True,
    "assertion": {"claims": ["email", "given_name"]},
}


def a_guarded_example() -> dict[str, Any]:
    content = the_example()
    content["apis"][0] |= SAID
    content["apis"][0]["resources"][0]["auth"] = "none"
    return content | {"deny": DENY}


async def test_who_may_call_is_applied_and_a_second_time_changes_nothing(database: Database):
    await apply(database, the_example())

    assert lines(await apply(database, a_guarded_example()))[-5:] == [
        "+ deny policy IP 192.0.2.7",
        "+ deny policy IPRANGE all but 10.0.0.0-10.255.255.255",
        "+ deny policy USER EXTERNAL/mallory@my_company",
        "+ deny policy APPLICATION bob:Mobile",
        "+ deny policy API /orders/1.0.0",
    ]
    assert lines(await apply(database, a_guarded_example())) == []

    organization_id = await here(database)
    api = await database.read(lambda c: apim.find_api_named(c, organization_id, "Orders", "1.0.0"))
    assert api is not None
    assert (api.security, api.default_version) == (("oauth2", "api_key"), True)
    assert (api.cors.origins, api.cors.credentials) == (("https://shop.example",), True)
    assert api.resources[0].auth == "none"
    assert api.assertion_claims == ("email", "given_name")


async def test_deny_policies_are_exactly_those_said(database: Database):
    await apply(database, a_guarded_example())
    off = [DENY[0] | {"enabled": False}]

    assert lines(await apply(database, the_example())) != []
    changed = lines(await apply(database, the_example() | {"deny": off}))

    assert {line for line in changed if "deny" in line} == {
        "- deny policy IPRANGE all but 10.0.0.0-10.255.255.255",
        "- deny policy USER EXTERNAL/mallory@my_company",
        "- deny policy APPLICATION bob:Mobile",
        "- deny policy API /orders/1.0.0",
        "~ deny policy IP 192.0.2.7",
    }
    assert lines(await apply(database, the_example() | {"deny": []})) == ["- deny policy IP 192.0.2.7"]


@pytest.mark.parametrize(
    ("deny", "found"),
    [
        ({"condition": "IP", "value": "nowhere"}, "'nowhere'"),
        ({"condition": "IPRANGE", "value": "10.0.0.1/8"}, "'10.0.0.1/8'"),
        ({"condition": "USER", "value": "NOWHERE/bob"}, "'NOWHERE/bob'"),
        ({"condition": "USER", "value": "bob", "invert": True}, "true"),
        ({"condition": "APPLICATION", "value": "bob:Nothing"}, "'bob:Nothing'"),
        ({"condition": "APPLICATION", "value": "Mobile"}, "'Mobile'"),
        ({"condition": "API", "value": "/orders/9"}, "'/orders/9'"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_denial_that_cannot_be_is_complained_about(
    sqlite_database: Database, deny: dict[str, Any], found: str, dry_run: bool
):
    (complaint,) = await refusals(sqlite_database, the_example() | {"deny": [deny]}, dry_run=dry_run)

    assert "deny" in complaint
    assert found in complaint


async def test_credentials_for_every_origin_are_complained_about(sqlite_database: Database):
    content = the_example()
    content["apis"][0]["cors"] = {"credentials": True}

    (complaint,) = await refusals(sqlite_database, content)

    assert "cors.credentials" in complaint
