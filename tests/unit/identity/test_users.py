"""PRIMARY users: putting, listing, deleting, and the first administrator."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection
from tests.support.identity import PASSWORD, World, a_world

from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import Database
from ostiary.identity import (
    InvalidUser,
    LoginRefused,
    NoDefaultOrganization,
    UnknownUser,
    UserSpec,
    bootstrap_admin,
    delete_user,
    find_user,
    hash_password,
    list_users,
    put_user,
    reset_admin_password,
)
from ostiary.identity.importing import ImportedUser, import_users, units_of
from ostiary.identity.repository import users
from ostiary.organizations import latest_minimum
from ostiary.permissions import Member, holdings_of

FIFTY_LONG_CLAIMS = {f"claim{n}": "x" * 1000 for n in range(50)}


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    made = await a_world(database, name="default")
    yield made
    await made.authentication.close()


async def put(world: World, username: str, password_hash: str | None = None, **spec) -> bool:
    wanted = UserSpec(world.organization.id, username, password_hash, **spec)
    return await world.database.write(lambda c: put_user(c, wanted, utc_now))


async def test_putting_the_same_user_again_changes_nothing(world: World):
    password_hash = await hash_password(SecretStr(PASSWORD))

    assert await put(world, "Bob", password_hash, claims={"email": "bob@example.com"})
    assert not await put(world, "BOB@default", claims={"email": "bob@example.com"})
    assert await put(world, "bob", claims={"email": "b@example.com"})

    user = await world.log_in("bob")
    assert (user.subject.username, user.claims, user.groups) == (
        "bob",
        {"email": "b@example.com"},
        frozenset(),
    )


async def test_a_new_password_ends_the_old_ones_tokens(world: World):
    await world.user("bob", "old password")
    subject = (await world.log_in("bob", "old password")).subject

    await world.user("bob", "new password")

    with pytest.raises(LoginRefused):
        await world.log_in("bob", "old password")
    assert (await world.log_in("bob", "new password")).subject == subject
    minimum = await world.database.read(
        lambda c: latest_minimum(c, world.organization.id, [("subject", subject.id)])
    )
    assert minimum > 1


@pytest.mark.parametrize("username", ["", "a b", "EXTERNAL/bob", "a/b", "x" * 256, "\x00"])
async def test_a_bad_name_is_refused_with_its_field(world: World, username: str):
    with pytest.raises(InvalidUser) as error:
        await put(world, username, "hash")
    assert error.value.field == "username"


async def test_a_new_user_needs_a_password(world: World):
    with pytest.raises(InvalidUser) as error:
        await put(world, "bob")
    assert error.value.field == "password"


async def test_one_transaction_holds_many_users_or_none(world: World):
    def unit(connection: Connection) -> None:
        put_user(connection, UserSpec(world.organization.id, "ann", "hash"), utc_now)
        put_user(connection, UserSpec(world.organization.id, "a b", "hash"), utc_now)

    with pytest.raises(InvalidUser):
        await world.database.write(unit)

    assert await world.database.read(lambda c: list_users(c, world.organization.id)) == []


async def test_users_are_listed_in_pages_of_their_own_organization(world: World):
    other = await a_world(world.database, name="other_company")
    await other.user("zoe")
    for username in ("cid", "ann", "bob"):
        await put(world, username, "hash")

    def page(after: str):
        return lambda c: [u.username for u in list_users(c, world.organization.id, after, limit=2)]

    assert await world.database.read(page("")) == ["ann", "bob"]
    assert await world.database.read(page("bob")) == ["cid"]
    assert await world.database.read(lambda c: find_user(c, world.organization.id, "zoe")) is None
    with pytest.raises(UnknownUser):
        await world.database.write(lambda c: delete_user(c, world.organization.id, "zoe"))
    await other.authentication.close()


async def test_the_first_start_creates_one_administrator(world: World):
    made = await asyncio.gather(*(bootstrap_admin(world.database, utc_now) for _ in range(4)))

    [password] = [one for one in made if one is not None]
    user = await world.log_in("admin", password.get_secret_value())
    member = Member(user.subject.id, "PRIMARY", "admin")
    roles = await world.database.write(lambda c: holdings_of(c, world.organization.id, member).roles)
    assert roles == {"admin", "everyone"}
    assert await bootstrap_admin(world.database, utc_now, SecretStr("other")) is None


async def test_a_given_password_is_the_administrators(world: World):
    await bootstrap_admin(world.database, utc_now, SecretStr("chosen password"))

    await world.log_in("admin", "chosen password")


async def test_who_replaced_the_administrator_does_not_get_it_back(world: World):
    await bootstrap_admin(world.database, utc_now)
    await world.user("root")
    await world.database.write(lambda c: delete_user(c, world.organization.id, "admin"))

    assert await bootstrap_admin(world.database, utc_now) is None


async def test_a_reset_lets_the_administrator_in_again(world: World):
    await bootstrap_admin(world.database, utc_now)
    for _ in range(6):
        with pytest.raises(LoginRefused):
            await world.log_in("admin", "wrong")

    password = await reset_admin_password(world.database, utc_now)

    await world.log_in("admin", password.get_secret_value())


async def test_without_the_default_organization_there_is_no_administrator(sqlite_database: Database):
    with pytest.raises(NoDefaultOrganization):
        await bootstrap_admin(sqlite_database, utc_now)


async def test_of_two_imports_at_once_one_makes_a_user_and_the_other_leaves_it(world: World):
    """Whoever comes second must not set the password of somebody that is there."""
    hashes = [
        "pbkdf2_sha256$1000$salt$qN+JnzxPIE2WfgrWPAkph8EAVeuwF7PZ0ordIY1Peq0=",
        "{SSHA}c2VjcmV0c2FsdA==",
    ]
    here, names = world.organization.id, [f"user{n}" for n in range(40)]

    async def outcome(name: str, password_hash: str) -> str:
        one = [ImportedUser(name, password_hash)]
        return (await world.database.write(lambda c: import_users(c, here, one, utc_now)))[0].outcome

    async def kept(name: str) -> str:
        found = await world.database.read(lambda c: users.credential(c, here, name))
        assert found is not None
        return found.password_hash

    async def importing(password_hash: str) -> list[str]:
        return [await outcome(name, password_hash) for name in names]

    first, second = await asyncio.gather(*map(importing, hashes))

    assert all({*pair} == {"created", "exists"} for pair in zip(first, second, strict=True))
    assert [await kept(name) for name in names] == [hashes[told == "exists"] for told in first]


@pytest.mark.parametrize(
    ("claims", "sizes"),
    [
        ({}, [25, 25, 10]),
        ({"email": "a@example.com"}, [25, 25, 10]),
        ({str(n): "x" * 1000 for n in range(50)}, [4] * 15),
    ],
)
def test_a_unit_of_an_import_is_short_whatever_its_users_have(claims: dict[str, str], sizes: list[int]):
    users = [ImportedUser(f"user{n}", "{SSHA}c2VjcmV0c2FsdA==", claims) for n in range(60)]

    units = list(units_of(users))

    assert [len(unit) for unit in units] == sizes
    assert [user for unit in units for user in unit] == users
