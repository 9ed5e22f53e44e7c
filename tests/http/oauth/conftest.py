"""Fixtures of the authorization server's endpoint tests."""

from collections.abc import AsyncIterator

import pytest
from tests.http.oauth.installation import Installation, an_installation

from ostiary.foundation.database import Database


@pytest.fixture
async def installation(sqlite_database: Database) -> AsyncIterator[Installation]:
    """For what does not depend on the kind of database."""
    async with an_installation(sqlite_database) as built:
        yield built


@pytest.fixture
async def on_both(database: Database) -> AsyncIterator[Installation]:
    """The same on SQLite and on PostgreSQL."""
    async with an_installation(database) as built:
        yield built
