"""Servers of every kind that know `testuser`."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.contract.user_stores.adapters import STORES, Adapter, Servers
from tests.support.active_directory import ActiveDirectory
from tests.support.certificates import Authority
from tests.support.directory_server import DirectoryServer, group
from tests.support.http_service import HTTPService
from tests.support.identity import World, a_world
from tests.support.login_service import LoginService
from tests.support.login_shapes import Stores, agent, legacy
from tests.support.sql_servers import MariaDB, PostgreSQL, SQLite, sqlite_file
from tests.support.sql_stores import Stores as SQLStores

from ostiary.foundation.database import Database


@pytest.fixture
async def service() -> AsyncIterator[LoginService]:
    started = await LoginService({"testuser": "secret", 'a"b': 'c"}}\\'}).start()
    yield started
    await started.stop()


@pytest.fixture
async def shaped() -> AsyncIterator[Stores]:
    made = Stores()
    yield made
    await made.close()


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Who signs the servers' certificates."""
    return Authority()


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[DirectoryServer]:
    """OpenLDAP. Nobody changes what another test rests on."""
    server = DirectoryServer(tmp_path_factory.mktemp("slapd"), authority).start()
    server.add(group("sales", "testuser"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def domain(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[ActiveDirectory]:
    """Active Directory. Nobody changes what another test rests on."""
    server = ActiveDirectory(tmp_path_factory.mktemp("samba"), authority).start()
    server.user("testuser")
    server.group("sales", "testuser")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """PostgreSQL with customers."""
    with tempfile.TemporaryDirectory(prefix="ostiary-customers-", dir="/tmp") as folder:
        server = PostgreSQL(Path(folder))
        yield server
        server.stop()


@pytest.fixture(scope="session")
def mariadb(authority: Authority) -> Iterator[MariaDB]:
    """MariaDB with customers."""
    with tempfile.TemporaryDirectory(prefix="ostiary-customers-", dir="/tmp") as folder:
        server = MariaDB(Path(folder), authority)
        yield server
        server.stop()


@pytest.fixture(scope="session")
def sqlite_customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a SQLite database with customers."""
    return sqlite_file(tmp_path_factory.mktemp("customers") / "shop.db")


@pytest.fixture(params=["postgresql", "mariadb", "sqlite"])
async def stores(request: pytest.FixtureRequest, sqlite_customers: Path) -> AsyncIterator[SQLStores]:
    sqlite = request.param == "sqlite"
    url = "sqlite:///shop.db" if sqlite else request.getfixturevalue(request.param).url
    made = SQLStores(url, sqlite_customers.parent)
    yield made
    await made.close()


@pytest.fixture
async def postgres(postgresql: PostgreSQL) -> AsyncIterator[SQLStores]:
    made = SQLStores(postgresql.url)
    yield made
    await made.close()


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
    databases = {"postgresql": postgresql, "mariadb": mariadb, "sqlite": SQLite(sqlite_customers)}
    shaped = [await HTTPService(answer).start() for answer in (legacy, agent)]
    servers = Servers(service, *shaped, directory, domain, authority, databases, sqlite_customers.parent)
    made = await STORES[request.param](world, servers)
    yield made
    await made.store.close()
    for one in shaped:
        await one.stop()
