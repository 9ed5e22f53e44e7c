"""Every adapter over a real server, in which `testuser` has a password.

A new adapter joins by a row in `STORES`: a function that gives a store, and says what the adapter can tell.
"""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.active_directory import BASE, PASSWORD, ActiveDirectory
from tests.support.active_directory import READER as AD_READER
from tests.support.active_directory import READER_PASSWORD as AD_READER_PASSWORD
from tests.support.certificates import Authority
from tests.support.directory_server import PEOPLE, READER, READER_PASSWORD, DirectoryServer, person
from tests.support.http_service import HTTPService
from tests.support.identity import BOX, World
from tests.support.login_service import LoginService
from tests.support.login_shapes import LEGACY, LEGACY_LOOK_UP, USERS
from tests.support.login_shapes import PEOPLE as PEOPLE_OF_LEGACY
from tests.support.sql_servers import (
    GROUPS_QUERY,
    ID_QUERY,
    SECRET_HASH,
    USER_QUERY,
)
from tests.support.sql_servers import READER_PASSWORD as SQL_PASSWORD

from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity import find_user_store
from ostiary.identity.user_stores.contract import UserStore
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
    staff: "Staff | None" = None
    """Where people can be looked up without a password: who changes that they are there."""


@dataclass(frozen=True)
class Staff:
    """How people come to be in the store behind an adapter, and leave it; their password is the adapter's."""

    hire: Callable[[str], None]
    dismiss: Callable[[str], None]
    disable: Callable[[str], None] | None
    """None where the service tells nothing of the kind."""


@dataclass(frozen=True)
class Servers:
    """What outside stores can be connected to."""

    service: LoginService
    legacy: HTTPService
    agent: HTTPService
    directory: DirectoryServer
    domain: ActiveDirectory
    authority: Authority
    databases: dict[str, Any]
    files: Path


async def primary(world: World, _: Servers) -> Adapter:
    await world.user("testuser", "secret")
    store = PrimaryUserStore(world.database, world.authentication.hasher, world.organization.id)
    return Adapter(store, tells_unknown_from_wrong=True, names_are_ids=False)


async def rest(world: World, servers: Servers) -> Adapter:
    await world.store(servers.service.url)
    return Adapter(await live_store(world), tells_unknown_from_wrong=False, names_are_ids=True)


async def rest_of_another_shape(world: World, servers: Servers) -> Adapter:
    look_up = {"url": f"{servers.legacy.url}/people/{{id}}", **LEGACY_LOOK_UP}
    await world.connect("rest", {"url": servers.legacy.url, **LEGACY, "look_up": look_up})

    def hire(name: str) -> None:
        USERS[name], PEOPLE_OF_LEGACY[name] = "secret", next(NUMBERS)

    def disable(name: str) -> None:
        PEOPLE_OF_LEGACY[name] *= -1

    staff = Staff(hire, PEOPLE_OF_LEGACY.pop, disable)
    return Adapter(await live_store(world), tells_unknown_from_wrong=False, names_are_ids=False, staff=staff)


async def rest_agent(world: World, servers: Servers) -> Adapter:
    await world.connect("rest", {"url": f"{servers.agent.url}/wso2agent", "template": "agent"})
    staff = Staff(lambda name: USERS.update({name: "secret"}), USERS.pop, disable=None)
    return Adapter(await live_store(world), tells_unknown_from_wrong=True, names_are_ids=True, staff=staff)


async def ldap(world: World, servers: Servers) -> Adapter:
    await world.connect("ldap", ldap_settings(servers))
    return Adapter(
        await live_store(world),
        tells_unknown_from_wrong=True,
        names_are_ids=False,
        case_matters=False,
        staff=of_directory(servers),
    )


async def ldap_by_pattern_and_reader(world: World, servers: Servers) -> Adapter:
    await world.connect("ldap", {"dn_pattern": f"uid={{username}},{PEOPLE}", **ldap_settings(servers)})
    return Adapter(
        await live_store(world),
        tells_unknown_from_wrong=False,
        names_are_ids=False,
        case_matters=False,
        staff=of_directory(servers),
    )


def of_directory(servers: Servers) -> Staff:
    directory = servers.directory
    return Staff(lambda name: directory.add(person(name)), directory.delete, directory.lock)


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
    domain = servers.domain
    return Adapter(
        await live_store(world),
        tells_unknown_from_wrong=True,
        names_are_ids=False,
        case_matters=False,
        password=PASSWORD,
        staff=Staff(
            domain.user,
            lambda name: domain.tool("user", "delete", name),
            lambda name: domain.tool("user", "disable", name),
        ),
    )


def sql(dialect: str, **more: str) -> Callable[[World, Servers], Awaitable[Adapter]]:
    async def make(world: World, servers: Servers) -> Adapter:
        settings = {
            "url": getattr(servers.databases[dialect], "url", "sqlite:///shop.db"),
            "password": SQL_PASSWORD,
            "user_query": USER_QUERY,
            "groups_query": GROUPS_QUERY,
            "ca": servers.authority.ca,
            **more,
        }
        without_tls = {k: v for k, v in settings.items() if k != "ca" or dialect == "mariadb"}
        await world.connect("sql", without_tls)
        store = await live_store(world, policy=OutboundPolicy(sqlite_directory=servers.files))
        return Adapter(
            store,
            tells_unknown_from_wrong=True,
            names_are_ids=False,
            case_matters=False,
            staff=of_table(servers.databases[dialect]),
        )

    return make


def of_table(database: Any) -> Staff:
    def hire(name: str) -> None:
        row = f"({next(NUMBERS)}, '{name}', '{SECRET_HASH}', TRUE, NULL, NULL)"
        database.run(f"INSERT INTO customers VALUES {row}")

    return Staff(
        hire,
        lambda name: database.run(f"DELETE FROM customers WHERE login = '{name}'"),
        lambda name: database.run(f"UPDATE customers SET active = FALSE WHERE login = '{name}'"),
    )


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
    "LDAP by pattern, with a reader": ldap_by_pattern_and_reader,
    "Active Directory": active_directory,
    "PostgreSQL": sql("postgresql"),
    "MariaDB": sql("mariadb"),
    "SQLite": sql("sqlite"),
    "PostgreSQL by id": sql("postgresql", id_query=ID_QUERY),
    "MariaDB by id": sql("mariadb", id_query=ID_QUERY),
    "SQLite by id": sql("sqlite", id_query=ID_QUERY),
}
BLIND = ["REST", "LDAP by pattern"]
"""Those that nobody can be looked up in without a password. PRIMARY is our own."""
SEEING = [name for name in STORES if name not in (*BLIND, "PRIMARY")]
NUMBERS = itertools.count(1000)


async def live_store(world: World, name: str = "EXTERNAL", policy: OutboundPolicy | None = None) -> UserStore:
    """The adapter of a configured store."""
    settings = await world.database.read(lambda c: find_user_store(c, world.organization.id, name))
    assert settings is not None
    stores = UserStores(BOX, policy or OutboundPolicy(), world.authentication.hasher)
    return stores.live(world.organization, settings)
