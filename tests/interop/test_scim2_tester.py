"""A SCIM suite nobody here wrote: scim2-tester over a real socket (RFC 7643, RFC 7644)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import uvicorn
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server
from tests.http.apim.conftest import Local
from tests.support.listening import a_listener

from ostiary.app import build_app, load_settings, migrate
from ostiary.foundation.database import Database
from ostiary.foundation.identifiers import new_id
from ostiary.organizations import Organization, put


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """The address of the SCIM endpoints of a new organization."""
    settings = load_settings(None, {"data_dir": tmp_path})
    migrate(settings.database)
    database = Database.open(settings.database)
    await database.write(lambda connection: put(connection, Organization(new_id(), "acme", "Acme")))
    await database.close()
    listener = a_listener()
    app = Local(build_app(settings))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/t/acme/scim2"
    server.should_exit = True
    await task


def errors_found(url: str) -> list[str]:
    with httpx2.Client(base_url=url, timeout=30) as http:
        results = check_server(SyncSCIMClient(http))
    assert len(results) > 100
    return [f"{one.title}: {one.reason}" for one in results if one.status is Status.ERROR]


async def test_a_suite_of_others_finds_no_error(url: str):
    assert await asyncio.to_thread(errors_found, url) == []
