"""Putting, changing and deleting user stores; what happens to their secrets."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from tests.support.identity import BOX, World, a_world

from ostiary.foundation.database import Database
from ostiary.identity import (
    BasicCredentials,
    InvalidUserStore,
    UnknownUserStore,
    UserStoreSpec,
    delete_user_store,
    find_user_store,
    list_user_stores,
    put_user_store,
)
from ostiary.identity.tables import user_stores

URL = "https://login.example/authenticate"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    made = await a_world(database)
    yield made
    await made.authentication.close()


@pytest.fixture
def spec(world: World) -> UserStoreSpec:
    basic = BasicCredentials("gateway", SecretStr("service-password"))
    return UserStoreSpec(world.organization.id, "External", URL, basic)


async def put(world: World, spec: UserStoreSpec) -> bool:
    return await world.database.write(lambda c: put_user_store(c, spec, BOX))


async def found(world: World):
    return await world.database.read(lambda c: find_user_store(c, world.organization.id, "external"))


def without_password(spec: UserStoreSpec, **changes) -> UserStoreSpec:
    return replace(spec, basic=BasicCredentials("gateway"), **changes)


async def test_putting_the_same_store_again_changes_nothing(world: World, spec: UserStoreSpec):
    assert await put(world, spec)
    before = await found(world)

    assert not await put(world, spec)
    assert not await put(world, without_password(spec))

    assert await found(world) == before
    assert (before.name, before.revision) == ("EXTERNAL", 1)


async def test_a_change_keeps_the_secret_and_raises_the_revision(world: World, spec: UserStoreSpec):
    await put(world, spec)
    before = await found(world)

    assert await put(world, without_password(spec, timeout=timedelta(seconds=1)))

    assert await found(world) == replace(before, timeout=timedelta(seconds=1), revision=2)


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://attacker.example/authenticate"},
        {"basic": BasicCredentials("somebody")},
        {"basic": None},
    ],
)
async def test_another_address_or_name_does_not_get_the_secret(
    world: World, spec: UserStoreSpec, change: dict[str, object]
):
    """CVE-2026-15943: a masked secret that went to a changed address."""
    await put(world, spec)

    await put(world, replace(without_password(spec), **change))

    assert (await found(world)).sealed_password is None


async def test_the_secret_is_sealed_in_the_table_and_in_what_is_printed(world: World, spec: UserStoreSpec):
    await put(world, spec)

    row = await world.database.read(lambda c: str(c.execute(select(user_stores)).all()))

    assert "service-password" not in row
    assert "service-password" not in repr(spec)
    assert (await found(world)).sealed_password not in repr(await found(world))


async def test_stores_are_listed_in_the_order_they_are_asked(world: World, spec: UserStoreSpec):
    for name in ("B", "A", "C"):
        await put(world, replace(spec, name=name))
    await put(world, replace(spec, name="D", position=-1))

    stores = await world.database.read(lambda c: list_user_stores(c, world.organization.id))

    assert [store.name for store in stores] == ["D", "B", "A", "C"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "a@b"}, "name"),
        ({"name": "primary"}, "name"),
        ({"name": "System"}, "name"),
        ({"name": "X" * 64}, "name"),
        ({"type": "ldap"}, "type"),
        ({"url": ""}, "url"),
        ({"url": "http://login.example/"}, "url"),
        ({"url": "ftp://login.example/"}, "url"),
        ({"url": "https://user:password@login.example/"}, "url"),
        ({"url": "https://169.254.169.254/"}, "url"),
        ({"url": "https://login.example/ x"}, "url"),
        ({"timeout": timedelta(0)}, "timeout_ms"),
        ({"timeout": timedelta(minutes=1)}, "timeout_ms"),
        ({"concurrency": 0}, "concurrency"),
        ({"accepts": ""}, "accepts"),
        ({"basic": BasicCredentials("")}, "auth.basic.username"),
        ({"basic": BasicCredentials("a:b")}, "auth.basic.username"),
        ({"basic": BasicCredentials("a", SecretStr(""))}, "auth.basic.password"),
    ],
)
async def test_a_bad_store_is_refused_with_its_field(
    world: World, spec: UserStoreSpec, change: dict[str, object], field: str
):
    with pytest.raises(InvalidUserStore) as error:
        await put(world, replace(spec, **change))

    assert error.value.field == field
    assert await found(world) is None


async def test_another_organizations_store_is_not_seen(world: World, spec: UserStoreSpec):
    other = await a_world(world.database, name="other_company")
    await put(world, replace(spec, organization_id=other.organization.id))

    assert await found(world) is None
    with pytest.raises(UnknownUserStore):
        await world.database.write(lambda c: delete_user_store(c, world.organization.id, "EXTERNAL"))
    await other.authentication.close()
