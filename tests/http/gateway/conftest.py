"""Fixtures of the gateway's endpoint tests."""

from collections.abc import AsyncIterator

import pytest
from tests.http.gateway.gateway import Gateway, a_gateway

from ostiary.foundation.database import Database


@pytest.fixture
async def gateway(sqlite_database: Database) -> AsyncIterator[Gateway]:
    """For what does not depend on the kind of database."""
    async with a_gateway(sqlite_database) as built:
        yield built


@pytest.fixture
async def on_both(database: Database) -> AsyncIterator[Gateway]:
    """The same on SQLite and on PostgreSQL."""
    async with a_gateway(database) as built:
        yield built
