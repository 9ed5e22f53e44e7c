"""Servers of every kind that know `testuser`."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.active_directory import ActiveDirectory
from tests.support.certificates import Authority
from tests.support.directory_server import DirectoryServer, group
from tests.support.login_service import LoginService
from tests.support.login_shapes import Stores
from tests.support.sql_servers import MariaDB, PostgreSQL, sqlite_file
from tests.support.sql_stores import Stores as SQLStores


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
