"""A login service on a real socket that knows `testuser`."""

from collections.abc import AsyncIterator

import pytest
from tests.support.login_service import LoginService


@pytest.fixture
async def service() -> AsyncIterator[LoginService]:
    started = await LoginService({"testuser": "secret", 'a"b': 'c"}}\\'}).start()
    yield started
    await started.stop()
