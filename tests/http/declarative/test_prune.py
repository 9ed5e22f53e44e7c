"""`--prune`: what a section that a file says does not list goes, and nothing else."""

from typing import Any

import pytest
from sqlalchemy import Connection, select
from tests.http.declarative.files import apply, here, lines, refusals, the_example
from tests.http.declarative.whole import a_whole_file

from ostiary import apim, identity, organizations
from ostiary.declarative.export import export
from ostiary.foundation.audit.tables import audit_staged
from ostiary.foundation.database import Database

EMPTY: dict[str, Any] = {
    "apiVersion": "ostiary/v1",
    "organization": {"name": "my_company", "display_name": "My Company"},
}
SECTIONS = ("user_stores", "users", "roles", "scopes", "plans", "apis", "applications", "deny")


def nothing_said() -> dict[str, Any]:
    """A file that says every section and lists nothing."""
    return EMPTY | {section: [] for section in SECTIONS}


async def test_everything_that_is_not_listed_goes_in_the_order_it_hangs_together_but_users(
    database: Database,
):
    await apply(database, the_example() | {"deny": [{"condition": "IP", "value": "192.0.2.7"}]})

    planned = lines(await apply(database, nothing_said(), prune=True, dry_run=True))
    done = lines(await apply(database, nothing_said(), prune=True))

    assert (
        planned
        == done
        == [
            "- deny policy IP 192.0.2.7",
            "- subscription Mobile > Orders 1.0.0",
            "- client mobile",
            "- application Mobile",
            "- api Orders 1.0.0",
            "- scope orders:write",
            "- role clerk",
            "- role support",
            "- plan Tiny",
            "- user store EXTERNAL",
        ]
    )
    assert lines(await apply(database, nothing_said(), prune=True)) == []
    left = await export(database, "my_company")
    assert left is not None
    assert left.document == EMPTY | {"users": [{"username": "bob", "claims": {"email": "bob@example.com"}}]}


async def test_a_section_that_is_not_said_stays(sqlite_database: Database):
    await apply(sqlite_database, the_example())

    assert lines(await apply(sqlite_database, EMPTY, prune=True)) == []
    assert lines(await apply(sqlite_database, EMPTY | {"applications": []}, prune=True)) == [
        "- subscription Mobile > Orders 1.0.0",
        "- client mobile",
        "- application Mobile",
    ]


async def test_without_prune_an_empty_section_removes_nothing(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = nothing_said()
    del content["deny"]

    assert lines(await apply(sqlite_database, content)) == []


async def test_an_export_pruned_changes_nothing(sqlite_database: Database):
    await apply(sqlite_database, a_whole_file())
    found = await export(sqlite_database, "my_company")
    assert found is not None

    assert lines(await apply(sqlite_database, found.document, prune=True)) == []


async def test_what_goes_and_what_comes_may_want_the_same_path_and_client_id(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = the_example()
    content["apis"][0]["name"] = "Purchases"
    content["applications"][0] |= {"name": "Phone", "subscriptions": []}
    content["applications"][0]["keys"]["production"]["client_id"] = "phone"
    content["plans"] = [{"name": "Small", "requests": 7}]
    content["apis"][0]["plans"] = ["Small"]

    assert lines(await apply(sqlite_database, content, prune=True)) == [
        "- subscription Mobile > Orders 1.0.0",
        "- client mobile",
        "- application Mobile",
        "- api Orders 1.0.0",
        "+ plan Small",
        "+ api Purchases 1.0.0",
        "+ application Phone",
        "+ client phone",
        "- plan Tiny",
    ]


async def test_keys_that_are_said_are_all_there_are(sqlite_database: Database):
    content = the_example()
    content["applications"][0]["keys"]["sandbox"] = {"client_id": "box", "client_secret": "s"}
    await apply(sqlite_database, content)
    unsaid = the_example()
    del unsaid["applications"][0]["keys"]

    assert lines(await apply(sqlite_database, the_example())) == []
    assert lines(await apply(sqlite_database, unsaid, prune=True)) == []
    assert lines(await apply(sqlite_database, the_example(), prune=True)) == ["- client box"]


async def test_an_api_somebody_stays_subscribed_to_is_refused_with_what_to_do(sqlite_database: Database):
    await apply(sqlite_database, the_example())

    for dry_run in (True, False):
        said = await refusals(sqlite_database, EMPTY | {"apis": []}, prune=True, dry_run=dry_run)
        assert said == [
            "documents[0].apis: the api Orders 1.0.0 is not in the file and is needed by the subscription "
            "Mobile > Orders 1.0.0: list the subscriptions of its applications without it, "
            "or list it with state RETIRED"
        ]
    found = await export(sqlite_database, "my_company")
    assert found is not None
    assert "apis" in found.document


@pytest.mark.parametrize(
    ("section", "needed_by"),
    [
        ("plans", "the plan Tiny is not in the file and is needed by the api Orders 1.0.0: "),
        ("scopes", "the scope orders:write is not in the file and is needed by the api Orders 1.0.0: "),
        ("roles", "the role clerk is not in the file and is needed by the scope orders:write: "),
    ],
)
async def test_what_something_unsaid_needs_stays(sqlite_database: Database, section: str, needed_by: str):
    await apply(sqlite_database, the_example())

    assert await refusals(sqlite_database, EMPTY | {section: []}, prune=True) == [
        f"documents[0].{section}: {needed_by}change that first, or list it"
    ]


async def test_a_file_may_not_refer_to_what_it_prunes(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = the_example()
    content |= {"plans": [], "roles": [], "scopes": [], "user_stores": []}
    content["applications"][0]["owner"] = "EXTERNAL/ann"

    said = await refusals(sqlite_database, content, prune=True)

    assert [complaint.partition(": ")[0].removeprefix("documents[0].") for complaint in said] == [
        "users[0].roles[0]",
        "apis[0].plans[1]",
        "apis[0].resources[2].scopes[0]",
    ]
    del content["users"], content["apis"]
    del content["applications"][0]["subscriptions"]
    assert "applications[0].owner" in (await refusals(sqlite_database, content, prune=True))[0]


async def test_a_user_store_that_a_client_lists_stays(sqlite_database: Database):
    content = the_example()
    content["applications"][0]["keys"]["production"]["user_stores"] = ["EXTERNAL"]
    await apply(sqlite_database, content)

    (said,) = await refusals(sqlite_database, EMPTY | {"user_stores": []}, prune=True)
    assert said == (
        "documents[0].user_stores: the user store EXTERNAL is not in the file and is needed by "
        "the client mobile: change that first, or list it with enabled: false"
    )
    assert lines(
        await apply(
            sqlite_database, the_example() | {"user_stores": [], "roles": []}, prune=True, dry_run=True
        )
        if False
        else await apply(sqlite_database, EMPTY | {"user_stores": [], "applications": []}, prune=True)
    ) == [
        "- subscription Mobile > Orders 1.0.0",
        "- client mobile",
        "- application Mobile",
        "- user store EXTERNAL",
    ]


async def test_the_last_administrator_of_the_installation_is_not_pruned(sqlite_database: Database):
    """Attack on oneself: the store or the client that administrators come from goes."""
    content: dict[str, Any] = {
        "apiVersion": "ostiary/v1",
        "organization": {"name": "default"},
        "user_stores": [the_example()["user_stores"][0]],
        "users": [{"username": "ann", "password": "x"}],
        "roles": [{"name": "admin", "users": ["EXTERNAL/boss"], "clients": ["robot"]}],
        "applications": [
            {
                "name": "Robot",
                "owner": "ann",
                "keys": {"production": {"client_id": "robot", "client_secret": "s", "grant_types": []}},
            }
        ],
    }
    await apply(sqlite_database, content)
    bare = {"apiVersion": "ostiary/v1", "organization": {"name": "default"}}

    said = await refusals(
        sqlite_database, bare | {"user_stores": [], "applications": []}, prune=True, dry_run=True
    )

    assert set(said) == {
        f"documents[0].{section}: the role admin of the organization default must keep a user or client"
        for section in ("user_stores", "applications")
    }
    assert lines(await apply(sqlite_database, bare | {"user_stores": []}, prune=True)) == [
        "- user store EXTERNAL"
    ]


async def test_both_applications_of_a_name_go(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    organization_id = await here(sqlite_database)
    second = apim.ApplicationSpec("Mobile", "EXTERNAL/ann")
    await sqlite_database.write(lambda c: apim.create_application(c, organization_id, second))

    await apply(sqlite_database, EMPTY | {"applications": []}, prune=True)

    assert await sqlite_database.read(lambda c: apim.list_applications(c, organization_id)) == []


async def test_every_removal_is_in_the_audit_log_and_narrows(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    organization_id = await here(sqlite_database)

    await apply(sqlite_database, nothing_said(), prune=True)

    def noted(c: Connection) -> str:
        return " ".join(row.document for row in c.execute(select(audit_staged)))

    told = await sqlite_database.read(noted)
    for kind in (
        *("subscription", "client", "application", "application_keys", "api", "scope"),
        *("role", "plan", "user_store"),
    ):
        assert f'"{kind}.deleted"' in told
    narrowed = await sqlite_database.read(lambda c: set(organizations.minimums(c, organization_id)))
    assert {("client", "mobile"), ("scope", "orders:write")} <= narrowed


async def test_users_are_never_pruned(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    organization_id = await here(sqlite_database)

    assert lines(await apply(sqlite_database, EMPTY | {"users": []}, prune=True)) == []
    assert await sqlite_database.read(lambda c: identity.find_user(c, organization_id, "bob"))


async def test_an_application_goes_while_another_is_newly_denied(sqlite_database: Database):
    content = the_example()
    content["applications"].append({"name": "Robot", "owner": "bob"})
    await apply(sqlite_database, content)
    content["applications"].pop(0)
    content["deny"] = [{"condition": "APPLICATION", "value": "bob:Robot"}]

    assert (
        lines(await apply(sqlite_database, content, prune=True))[-1] == "+ deny policy APPLICATION bob:Robot"
    )


async def test_what_is_pruned_cannot_be_denied(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = the_example() | {"applications": []}
    content["deny"] = [{"condition": "APPLICATION", "value": "bob:Mobile"}]
    gone = the_example() | {"applications": [], "apis": []}
    gone["deny"] = [{"condition": "API", "value": "/orders/1.0.0"}]

    for wanted in (content, gone):
        for dry_run in (True, False):
            said = await refusals(sqlite_database, wanted, prune=True, dry_run=dry_run)
            assert "deny[0].value" in said[0]
