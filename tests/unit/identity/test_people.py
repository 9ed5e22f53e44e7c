"""People and roles by page, on each database."""

from tests.support.identity import World, a_world

from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import Database
from ostiary.foundation.identifiers import new_id
from ostiary.identity.model import Person
from ostiary.identity.repository import people, subjects
from ostiary.identity.user_names import PRIMARY
from ostiary.identity.user_stores.configuration import find_user_store
from ostiary.identity.user_stores.contract import UserRecord
from ostiary.permissions import (
    Member,
    Role,
    a_user,
    delete_role,
    put_subjects,
    read_holdings,
    role_by_id,
    role_page,
    roles_listing,
    users_listed,
)

HERE = (PRIMARY, PRIMARY)


async def listed(world: World, store: tuple[str, str] = HERE, **terms: str) -> tuple[int, list[Person]]:
    total, found = await world.database.read(
        lambda c: people.page(c, world.organization.id, store, terms, descending=False, offset=0, limit=10)
    )
    return total, list(found)


def names(found: tuple[int, list[Person]]) -> list[str]:
    return [person.subject.username for person in found[1]]


async def test_people_are_found_within_their_store_and_organization(database: Database):
    world, other = await a_world(database), await a_world(database, name="other_company")
    for name in ("bob", "ann", "b_b", "bxb"):
        await world.user(name)
    await other.user("zoe")
    await world.store("http://127.0.0.1:9/login")
    store = await database.read(lambda c: find_user_store(c, world.organization.id, "EXTERNAL"))
    assert store is not None
    await database.write(
        lambda c: subjects.see(
            c, world.organization.id, store.id, store.name, UserRecord("7", "bob"), utc_now()
        )
    )
    outside = (store.id, store.name)

    assert names(await listed(world)) == ["ann", "b_b", "bob", "bxb"]
    assert names(await listed(world, username="bob")) == ["bob"]
    assert names(await listed(world, username_prefix="b_")) == ["b_b"]
    assert names(await listed(world, external_id="x")) == []
    assert names(await listed(world, outside)) == ["bob"]
    assert names(await listed(world, outside, username_prefix="b")) == ["bob"]
    assert await listed(world, outside, external_id="x") == (0, [])
    [ann] = (await listed(world, username="ann"))[1]
    await database.write(lambda c: people.describe(c, ann, "x", {"title": "Boss"}, utc_now()))
    found = await database.read(lambda c: people.find(c, world.organization.id, ann.subject.id))
    assert found is not None
    assert (found.external_id, found.attributes) == ("x", {"title": "Boss"})
    assert names(await listed(world, external_id="x")) == ["ann"]
    assert await database.read(lambda c: people.find(c, other.organization.id, ann.subject.id)) is None
    await other.authentication.close()
    await world.authentication.close()


async def test_a_role_given_to_a_subject_is_taken_from_whoever_had_its_name(database: Database):
    world = await a_world(database)
    await world.user("bob")
    here = world.organization.id
    bob = (await listed(world))[1][0].subject
    role = Role(new_id(), here, "staff", ("/permission/admin",))
    await database.write(lambda c: put_subjects(c, role, {a_user("bob"): "somebody-before"}))

    await database.write(lambda c: put_subjects(c, role, {a_user("bob"): bob.id}))

    member = Member(bob.id, PRIMARY, "bob")
    assert [one.subject_id for one in await database.read(lambda c: users_listed(c, here, [role.id], 9))] == [
        bob.id
    ]
    assert (await database.read(lambda c: read_holdings(c, here, member))).roles == {"staff"}
    before = await database.read(lambda c: read_holdings(c, here, Member("somebody-before", PRIMARY, "bob")))
    assert before.roles == frozenset()
    total, found = await database.read(
        lambda c: role_page(c, here, {"name_prefix": "st"}, member, descending=True, offset=0, limit=5)
    )
    assert (total, [one.name for one in found]) == (1, ["staff"])
    assert set(await database.read(lambda c: roles_listing(c, here, [member]))) == {bob.id}
    await database.write(lambda c: delete_role(c, found[0]))
    assert await database.read(lambda c: role_by_id(c, here, role.id)) is None
    await world.authentication.close()
