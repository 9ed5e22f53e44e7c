"""What every user store promises, asked of each adapter.

A new adapter joins by a row in `STORES`: a function that gives a store in which `testuser` has the
password `secret`, and says what the adapter can tell.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.support.active_directory import BASE, PASSWORD, ActiveDirectory
from tests.support.active_directory import READER as AD_READER
from tests.support.active_directory import READER_PASSWORD as AD_READER_PASSWORD
from tests.support.certificates import Authority
from tests.support.directory_server import PEOPLE, READER, READER_PASSWORD, DirectoryServer
from tests.support.http_service import HTTPService
from tests.support.identity import BOX, World, a_world
from tests.support.login_service import LoginService
from tests.support.login_shapes import LEGACY, agent, legacy
from tests.support.sql_servers import READER_PASSWORD as SQL_PASSWORD
from tests.support.sql_servers import USER_QUERY, MariaDB, PostgreSQL

from ostiary.foundation.database import Database
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity import find_user_store
from ostiary.identity.user_stores.contract import Refused, UserStore
from ostiary.identity.user_stores.directory import UserStores
from ostiary.identity.user_stores.primary import PrimaryUserStore


@dataclass(frozen=True)
class Adapter:
    """A store under test."""

    store: UserStore
    tells_unknown_from_wrong: bool
    names_are_ids: bool
    password: str = "secret"
    case_matters: bool = True
    """Whether `TESTUSER` is somebody else; stores are asked so only where the settings say it matters."""


@dataclass(frozen=True)
class Servers:
    """What outside stores can be connected to."""

    service: LoginService
    legacy: HTTPService
    agent: HTTPService
    directory: DirectoryServer
    domain: ActiveDirectory
    authority: Authority
    databases: dict[str, str]
    """Address by dialect."""
    files: Path


async def primary(world: World, _: Servers) -> Adapter:
    await world.user("testuser", "secret")
    store = PrimaryUserStore(world.database, world.authentication.hasher, world.organization.id)
    return Adapter(store, tells_unknown_from_wrong=True, names_are_ids=False)


async def rest(world: World, servers: Servers) -> Adapter:
    await world.store(servers.service.url)
    return Adapter(await live_store(world), tells_unknown_from_wrong=False, names_are_ids=True)


async def rest_of_another_shape(world: World, servers: Servers) -> Adapter:
    await world.connect("rest", {"url": servers.legacy.url, **LEGACY})
    return Adapter(await live_store(world), tells_unknown_from_wrong=False, names_are_ids=False)


async def rest_agent(world: World, servers: Servers) -> Adapter:
    await world.connect("rest", {"url": f"{servers.agent.url}/wso2agent", "template": "agent"})
    return Adapter(await live_store(world), tells_unknown_from_wrong=True, names_are_ids=True)


async def ldap(world: World, servers: Servers) -> Adapter:
    await world.connect("ldap", ldap_settings(servers))
    return Adapter(
        await live_store(world), tells_unknown_from_wrong=True, names_are_ids=False, case_matters=False
    )


async def ldap_by_pattern(world: World, servers: Servers) -> Adapter:
    pattern = {"dn_pattern": f"uid={{username}},{PEOPLE}", "bind": None}
    await world.connect("ldap", {k: v for k, v in (ldap_settings(servers) | pattern).items() if v})
    return Adapter(
        await live_store(world), tells_unknown_from_wrong=False, names_are_ids=False, case_matters=False
    )


async def active_directory(world: World, servers: Servers) -> Adapter:
    settings = {
        "urls": [servers.domain.url],
        "ca": servers.authority.ca,
        "bind": {"dn": AD_READER, "password": AD_READER_PASSWORD},
        "users": {"base": BASE},
    }
    await world.connect("active_directory", settings, timeout_ms=10_000)
    store = await live_store(world)
    return Adapter(
        store, tells_unknown_from_wrong=True, names_are_ids=False, case_matters=False, password=PASSWORD
    )


def sql(dialect: str) -> Callable[[World, Servers], Awaitable[Adapter]]:
    async def make(world: World, servers: Servers) -> Adapter:
        settings = {
            "url": servers.databases[dialect],
            "password": SQL_PASSWORD,
            "user_query": USER_QUERY,
            "ca": servers.authority.ca,
        }
        without_tls = {k: v for k, v in settings.items() if k != "ca" or dialect == "mariadb"}
        await world.connect("sql", without_tls)
        store = await live_store(world, policy=OutboundPolicy(sqlite_directory=servers.files))
        return Adapter(store, tells_unknown_from_wrong=True, names_are_ids=False, case_matters=False)

    return make


def ldap_settings(servers: Servers) -> dict[str, Any]:
    return {
        "urls": [servers.directory.tls_url],
        "ca": servers.authority.ca,
        "bind": {"dn": READER, "password": READER_PASSWORD},
        "users": {"base": PEOPLE},
    }


STORES: dict[str, Callable[[World, Servers], Awaitable[Adapter]]] = {
    "PRIMARY": primary,
    "REST": rest,
    "REST of another shape": rest_of_another_shape,
    "REST of the agent": rest_agent,
    "LDAP": ldap,
    "LDAP by pattern": ldap_by_pattern,
    "Active Directory": active_directory,
    "PostgreSQL": sql("postgresql"),
    "MariaDB": sql("mariadb"),
    "SQLite": sql("sqlite"),
}


async def live_store(world: World, name: str = "EXTERNAL", policy: OutboundPolicy | None = None) -> UserStore:
    """The adapter of a configured store."""
    settings = await world.database.read(lambda c: find_user_store(c, world.organization.id, name))
    assert settings is not None
    stores = UserStores(BOX, policy or OutboundPolicy(), world.authentication.hasher)
    return stores.live(world.organization, settings)


@pytest.fixture
async def world(sqlite_database: Database) -> AsyncIterator[World]:
    made = await a_world(sqlite_database)
    yield made
    await made.authentication.close()


@pytest.fixture(params=STORES)
async def adapter(
    request: pytest.FixtureRequest,
    world: World,
    service: LoginService,
    directory: DirectoryServer,
    domain: ActiveDirectory,
    authority: Authority,
    postgresql: PostgreSQL,
    mariadb: MariaDB,
    sqlite_customers: Path,
) -> AsyncIterator[Adapter]:
    databases = {"postgresql": postgresql.url, "mariadb": mariadb.url, "sqlite": "sqlite:///shop.db"}
    shaped = [await HTTPService(answer).start() for answer in (legacy, agent)]
    servers = Servers(service, *shaped, directory, domain, authority, databases, sqlite_customers.parent)
    made = await STORES[request.param](world, servers)
    yield made
    await made.store.close()
    for one in shaped:
        await one.stop()


async def test_the_right_password_gives_the_users_record(adapter: Adapter):
    record = await adapter.store.authenticate("testuser", SecretStr(adapter.password))

    assert record is not None
    assert record.username == "testuser"
    assert (record.immutable_id == "testuser") is adapter.names_are_ids


async def test_the_same_user_has_the_same_immutable_id_each_time(adapter: Adapter):
    records = [await adapter.store.authenticate("testuser", SecretStr(adapter.password)) for _ in range(2)]

    assert records[0] == records[1]


@pytest.mark.parametrize("password", ["wrong", "Secret", "secret ", "secret\u0301", "*", "secre", "s" * 1024])
async def test_a_wrong_password_is_refused(adapter: Adapter, password: str):
    with pytest.raises(Refused) as refusal:
        await adapter.store.authenticate("testuser", SecretStr(password))

    assert refusal.value.certain is adapter.tells_unknown_from_wrong


@pytest.mark.parametrize(
    "username",
    [
        "ghost",
        "*",
        "testuser*",
        "a'or'1'='1",
        'x","password":"y',
        "testuser)(uid=*",
        "testuser,ou=x",
        "uid=testuser",
    ],
)
async def test_an_unknown_user_is_nobody_or_an_uncertain_refusal(adapter: Adapter, username: str):
    if adapter.tells_unknown_from_wrong:
        assert await adapter.store.authenticate(username, SecretStr(adapter.password)) is None
        return
    with pytest.raises(Refused) as refusal:
        await adapter.store.authenticate(username, SecretStr(adapter.password))
    assert not refusal.value.certain


async def test_a_name_in_another_case_is_somebody_else_or_the_same_name(adapter: Adapter):
    try:
        record = await adapter.store.authenticate("TESTUSER", SecretStr(adapter.password))
    except Refused:
        record = None

    assert (record is None) is adapter.case_matters
    assert record is None or record.username == "testuser"


async def test_a_store_that_runs_can_be_asked(adapter: Adapter):
    await adapter.store.probe()
