"""What cannot be is refused with every reason, and nothing is done."""

from pathlib import Path
from typing import Any

import pytest
from tests.http.declarative.files import (
    EVERYTHING,
    apply,
    lines,
    refusals,
    the_example,
)

from ostiary import organizations
from ostiary.declarative import read_documents
from ostiary.foundation.database import Database

SPOILED = read_documents((Path(__file__).parent / "refusals.yaml").read_text(), "refusals.yaml")[0].data


@pytest.mark.parametrize("spoiled", SPOILED, ids=[row["complaint"][:40] for row in SPOILED])
async def test_what_cannot_be_is_refused_and_nothing_is_done(
    sqlite_database: Database, spoiled: dict[str, Any]
):
    content = the_example()
    holder: Any = content
    for step in spoiled["path"][:-1]:
        holder = holder[step]
    holder[spoiled["path"][-1]] = spoiled["value"]

    said = await refusals(sqlite_database, content)
    assert f"documents[0].{spoiled['complaint']}" in said
    assert await refusals(sqlite_database, content, dry_run=True) == said
    assert await sqlite_database.read(organizations.all_organizations) == []


async def test_all_files_are_applied_or_none(database: Database):
    other = the_example() | {"organization": {"name": "other"}}
    other["applications"][0]["keys"]["production"]["client_id"] = "other-mobile"
    spoiled = the_example() | {"organization": {"name": "spoiled"}}  # its client id is my_company's

    assert await refusals(database, the_example(), other, spoiled) == [
        "documents[2].applications[0].keys.production.client_id: "
        "expected mobile is taken in this installation; choose another"
    ]
    assert len(await refusals(database, the_example(), other, spoiled, dry_run=True)) == 1
    assert await database.read(organizations.all_organizations) == []
    assert len(lines(await apply(database, the_example(), other))) == 2 * len(EVERYTHING)


async def test_one_organization_is_applied_from_one_file(sqlite_database: Database):
    assert await refusals(sqlite_database, the_example(), the_example()) == [
        "documents[1].organization.name: found 'my_company' a second time, "
        "expected one document for an organization"
    ]


async def test_a_retired_api_stays_retired(sqlite_database: Database):
    content = the_example()
    content["apis"][0]["state"] = "RETIRED"
    content["applications"][0]["subscriptions"] = []
    await apply(sqlite_database, content)
    said = await refusals(sqlite_database, the_example())
    assert said[0] == "documents[0].apis[0]: an API version that is RETIRED can never become PUBLISHED"


async def test_a_dry_run_refuses_what_others_of_the_organization_stand_in_the_way_of(
    sqlite_database: Database,
):
    await apply(sqlite_database, the_example())
    content = the_example()
    content["apis"][0] |= {"name": "Invoices", "state": "CREATED"}
    content["applications"][0]["subscriptions"] = [{"api": "Invoices", "version": "1.0.0", "plan": "Gold"}]
    content["applications"][0]["name"] = "Web"
    said = [
        "documents[0].apis[0]: the path /orders/1.0.0 is taken by or overlaps Orders 1.0.0 at /orders/1.0.0",
        "documents[0].applications[0].keys.production: the client mobile belongs to another application",
        "documents[0].applications[0].subscriptions[0]: "
        "Invoices 1.0.0 is CREATED and takes no new subscription",
    ]
    assert await refusals(sqlite_database, content, dry_run=True) == said
    assert await refusals(sqlite_database, content) == said
