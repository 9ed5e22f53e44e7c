"""Putting, changing and deleting user stores; what happens to their secrets."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import select
from tests.support.identity import BOX, World, a_world, no_clients

from ostiary.foundation.database import Database
from ostiary.identity import (
    InvalidUserStore,
    StoreOptions,
    TypeSettings,
    UnknownUserStore,
    UserStoreSpec,
    delete_user_store,
    find_user_store,
    list_user_stores,
    put_user_store,
    read_user_store_settings,
)
from ostiary.identity.tables import user_stores

PASSWORD = "service-password"
URL = "https://login.example/authenticate"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    made = await a_world(database)
    yield made
    await made.authentication.close()


@pytest.fixture
def spec(world: World) -> UserStoreSpec:
    return UserStoreSpec(world.organization.id, "External", "rest", rest())


def rest(url: str = URL, username: str | None = "gateway", password: str | None = PASSWORD) -> TypeSettings:
    auth = {"basic": {"username": username} | ({"password": password} if password else {})}
    return read_user_store_settings("rest", {"url": url} | ({"auth": auth} if username is not None else {}))


async def put(world: World, spec: UserStoreSpec) -> bool:
    return await world.database.write(lambda c: put_user_store(c, spec, BOX))


async def found(world: World):
    return await world.database.read(lambda c: find_user_store(c, world.organization.id, "external"))


def without_password(spec: UserStoreSpec, **options) -> UserStoreSpec:
    return replace(spec, settings=rest(password=None), options=StoreOptions(**options))


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

    assert await put(world, without_password(spec, timeout_ms=1000))

    assert await found(world) == replace(before, options=StoreOptions(timeout_ms=1000), revision=2)


@pytest.mark.parametrize(
    "settings",
    [
        rest("https://attacker.example/authenticate", password=None),
        rest(username="somebody", password=None),
        rest(username=None),
    ],
)
async def test_another_address_or_name_does_not_get_the_secret(
    world: World, spec: UserStoreSpec, settings: TypeSettings
):
    """CVE-2026-15943: a masked secret that went to a changed address."""
    await put(world, spec)

    await put(world, replace(spec, settings=settings))

    assert (await found(world)).sealed == {}


async def test_the_secret_is_sealed_in_the_table_and_in_what_is_printed(world: World, spec: UserStoreSpec):
    await put(world, spec)

    row = await world.database.read(lambda c: str(c.execute(select(user_stores)).all()))

    assert "service-password" not in row
    assert "service-password" not in repr(spec)
    assert (await found(world)).sealed["auth.basic.password"] not in repr(await found(world))


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
        ({"settings": lambda: rest("")}, "url"),
        ({"settings": lambda: rest("http://login.example/")}, "url"),
        ({"settings": lambda: rest("ftp://login.example/")}, "url"),
        ({"settings": lambda: rest("https://user:password@login.example/")}, "url"),
        ({"settings": lambda: rest("https://169.254.169.254/")}, "url"),
        ({"settings": lambda: rest("https://login.example/ x")}, "url"),
        ({"settings": lambda: rest(username="")}, "auth.basic.username"),
        ({"settings": lambda: rest(username="a:b")}, "auth.basic.username"),
        ({"settings": lambda: rest(password="x" * 1025)}, "auth.basic.password"),
        ({"settings": lambda: read_user_store_settings("carrier_pigeon", {})}, "type"),
    ],
)
async def test_a_bad_store_is_refused_with_its_field(
    world: World, spec: UserStoreSpec, change: dict[str, object], field: str
):
    with pytest.raises(InvalidUserStore) as error:
        await put(world, replace(spec, **{k: v() if callable(v) else v for k, v in change.items()}))

    assert error.value.field == field
    assert await found(world) is None


async def test_another_organizations_store_is_not_seen(world: World, spec: UserStoreSpec):
    other = await a_world(world.database, name="other_company")
    await put(world, replace(spec, organization_id=other.organization.id))

    assert await found(world) is None
    with pytest.raises(UnknownUserStore):
        await world.database.write(
            lambda c: delete_user_store(c, world.organization.id, "EXTERNAL", no_clients)
        )
    await other.authentication.close()
