"""Fixtures for identity: a login service on a real socket, an organization in a real database."""

from collections.abc import AsyncIterator

import pytest
from tests.support.identity import World, a_world
from tests.support.login_service import LoginService

from ostiary.foundation.database import Database


@pytest.fixture
async def service() -> AsyncIterator[LoginService]:
    started = await LoginService({"testuser": "secret"}).start()
    yield started
    await started.stop()


@pytest.fixture
async def world(sqlite_database: Database) -> AsyncIterator[World]:
    made = await a_world(sqlite_database)
    yield made
    await made.authentication.close()
