"""What every user store promises, asked of each adapter.

A new adapter joins by a row in `STORES`: a function that gives a store in which `testuser` has the
password `secret`, and says what the adapter can tell.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from pydantic import SecretStr
from tests.support.identity import BOX, World, a_world
from tests.support.login_service import LoginService

from ostiary.foundation.database import Database
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity.user_stores.contract import Refused, UserStore
from ostiary.identity.user_stores.directory import UserStores
from ostiary.identity.user_stores.primary import PrimaryUserStore


@dataclass(frozen=True)
class Adapter:
    """A store under test."""

    store: UserStore
    tells_unknown_from_wrong: bool
    names_are_ids: bool


async def primary(world: World, _service: LoginService) -> Adapter:
    await world.user("testuser", "secret")
    store = PrimaryUserStore(world.database, world.authentication.hasher, world.organization.id)
    return Adapter(store, tells_unknown_from_wrong=True, names_are_ids=False)


async def rest(world: World, service: LoginService) -> Adapter:
    await world.store(service.url)
    return Adapter(await live_store(world), tells_unknown_from_wrong=False, names_are_ids=True)


STORES: dict[str, Callable[[World, LoginService], Awaitable[Adapter]]] = {"PRIMARY": primary, "REST": rest}


async def live_store(world: World, name: str = "EXTERNAL") -> UserStore:
    """The adapter of a configured store."""
    from ostiary.identity import find_user_store

    settings = await world.database.read(lambda c: find_user_store(c, world.organization.id, name))
    assert settings is not None
    return UserStores(BOX, OutboundPolicy()).live(settings)


@pytest.fixture
async def world(sqlite_database: Database) -> AsyncIterator[World]:
    made = await a_world(sqlite_database)
    yield made
    await made.authentication.close()


@pytest.fixture(params=STORES)
async def adapter(
    request: pytest.FixtureRequest, world: World, service: LoginService
) -> AsyncIterator[Adapter]:
    made = await STORES[request.param](world, service)
    yield made
    await made.store.close()


async def test_the_right_password_gives_the_users_record(adapter: Adapter):
    record = await adapter.store.authenticate("testuser", SecretStr("secret"))

    assert record is not None
    assert record.username == "testuser"
    assert (record.immutable_id == "testuser") is adapter.names_are_ids


async def test_the_same_user_has_the_same_immutable_id_each_time(adapter: Adapter):
    records = [await adapter.store.authenticate("testuser", SecretStr("secret")) for _ in range(2)]

    assert records[0] == records[1]


@pytest.mark.parametrize("password", ["wrong", "Secret", "secret ", "secret\u0301", "*", "secre", "s" * 1024])
async def test_a_wrong_password_is_refused(adapter: Adapter, password: str):
    with pytest.raises(Refused) as refusal:
        await adapter.store.authenticate("testuser", SecretStr(password))

    assert refusal.value.certain is adapter.tells_unknown_from_wrong


@pytest.mark.parametrize(
    "username", ["ghost", "*", "testuser*", "TESTUSER", "a'or'1'='1", 'x","password":"y']
)
async def test_an_unknown_user_is_nobody_or_an_uncertain_refusal(adapter: Adapter, username: str):
    if adapter.tells_unknown_from_wrong:
        assert await adapter.store.authenticate(username, SecretStr("secret")) is None
        return
    with pytest.raises(Refused) as refusal:
        await adapter.store.authenticate(username, SecretStr("secret"))
    assert not refusal.value.certain
