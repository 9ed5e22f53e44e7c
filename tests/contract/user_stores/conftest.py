"""Servers of every kind that know `testuser`."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.support.active_directory import ActiveDirectory
from tests.support.certificates import Authority
from tests.support.directory_server import DirectoryServer, group
from tests.support.login_service import LoginService


@pytest.fixture
async def service() -> AsyncIterator[LoginService]:
    started = await LoginService({"testuser": "secret", 'a"b': 'c"}}\\'}).start()
    yield started
    await started.stop()


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
