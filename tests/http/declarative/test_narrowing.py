"""What a file takes away is refused to tokens that are out; what it adds narrows nobody."""

from tests.http.declarative.files import (
    apply,
    details,
    here,
    lines,
    minimums,
    the_example,
)

from ostiary import identity
from ostiary.foundation.database import Database
from ostiary.organizations import current_epoch
from ostiary.permissions import Member, holdings_of


async def epoch(database: Database) -> int:
    organization_id = await here(database)
    return await database.read(lambda c: current_epoch(c, organization_id))


async def test_a_client_that_loses_a_grant_is_narrowed(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = the_example()
    content["applications"][0]["keys"]["production"]["grant_types"] = ["client_credentials"]

    assert lines(await apply(sqlite_database, content)) == ["~ client mobile"]
    assert ("client", "mobile") in await minimums(sqlite_database)


async def test_a_client_that_asks_fewer_stores_is_narrowed_and_another_order_narrows_nobody(
    sqlite_database: Database,
):
    await apply(sqlite_database, the_example())
    narrowed, plans = [], []
    for stores in (["EXTERNAL", "PRIMARY"], ["PRIMARY", "EXTERNAL"], ["PRIMARY"], None):
        content = the_example()
        content["applications"][0]["keys"]["production"] |= {"user_stores": stores} if stores else {}
        before = await epoch(sqlite_database)
        plans.append(details(await apply(sqlite_database, content)))
        assert lines(await apply(sqlite_database, content)) == []
        narrowed.append(await epoch(sqlite_database) > before)

    assert narrowed == [True, False, True, False]
    said = [(one.attribute, one.before, one.after) for plan in plans for one in plan]
    assert said == [
        ("user_stores", None, ["EXTERNAL", "PRIMARY"]),
        ("user_stores", ["EXTERNAL", "PRIMARY"], ["PRIMARY", "EXTERNAL"]),
        ("user_stores", ["PRIMARY", "EXTERNAL"], ["PRIMARY"]),
        ("user_stores", ["PRIMARY"], None),
    ]


async def test_a_scope_that_loses_a_role_is_narrowed(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = the_example()
    content["scopes"][0]["roles"] = []

    assert lines(await apply(sqlite_database, content)) == ["~ scope orders:write"]
    assert ("scope", "orders:write") in await minimums(sqlite_database)


async def test_a_role_that_loses_a_member_narrows_that_person(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    organization_id = await here(sqlite_database)
    user = await sqlite_database.read(lambda c: identity.find_user(c, organization_id, "bob"))
    assert user is not None
    seen = Member(user.subject_id, "PRIMARY", "bob")
    assert await sqlite_database.write(lambda c: holdings_of(c, organization_id, seen).roles) == {
        "support",
        "everyone",
    }
    content = the_example()
    content["users"][0]["roles"] = []

    assert lines(await apply(sqlite_database, content)) == ["~ role support"]
    assert ("subject", user.subject_id) in await minimums(sqlite_database)
    assert await sqlite_database.write(lambda c: holdings_of(c, organization_id, seen).roles) == {"everyone"}


async def test_widening_narrows_nobody(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = the_example()
    content["roles"][1]["users"].append("bob")
    content["scopes"][0]["roles"].append("support")
    content["applications"][0]["keys"]["production"]["strict_scopes"] = True

    changed = lines(await apply(sqlite_database, content))

    assert changed == ["~ role clerk", "~ scope orders:write", "~ client mobile"]
    assert await minimums(sqlite_database) == set()
