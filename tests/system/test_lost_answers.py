"""A worker is killed in the middle of a request: whoever lost the answer can go on."""

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from tests.system.server import Server
from tests.system.waiting import until
from tests.system.world import BOB_PASSWORD, Caller, apply, organization

RETRY_WINDOW = 60
"""Seconds in which a client gets the same successor again: a busy machine starts a worker slowly."""
MOMENTS = (0.0, 0.001, 0.002, 0.004, 0.006, 0.008, 0.012, 0.02)
"""Seconds between asking and the kill: before, while and after the old token is consumed."""


@pytest.fixture(scope="module")
def caller() -> Iterator[tuple[Server, Caller]]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    server = Server(directory / "data")
    server.environment["OSTIARY_TOKENS__REFRESH_RETRY_WINDOW"] = str(RETRY_WINDOW)
    try:
        server.start()
        apply(server, directory, organization("my_company", "http://127.0.0.1:9/nobody"))
        yield server, Caller(server.gateway(), "my_company")
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_client_that_lost_the_answer_to_a_killed_worker_goes_on(
    caller: tuple[Server, Caller], moment: float
):
    server, mobile = caller
    refresh_token = until(lambda: _refresh_token(mobile), 15.0, "a login")
    worker = server.find("ostiary.cli.worker")
    asking = threading.Thread(target=_ask, args=(mobile, refresh_token))

    asking.start()
    time.sleep(moment)
    os.kill(worker, signal.SIGKILL)
    asking.join(20)

    def refreshed() -> dict[str, str] | None:
        with suppress(httpx2.TransportError):
            response = mobile.token(grant_type="refresh_token", refresh_token=refresh_token)
            assert response.status_code in (200, 502, 503, 504), response.text
            return response.json() if response.status_code == 200 else None
        return None

    tokens = until(refreshed, RETRY_WINDOW / 2, "an answer to the same refresh token")
    again = mobile.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert again.status_code == 200, again.text


def _refresh_token(caller: Caller) -> str | None:
    with suppress(httpx2.TransportError):
        response = caller.login("bob", BOB_PASSWORD)
        return str(response.json()["refresh_token"]) if response.status_code == 200 else None
    return None


def _ask(caller: Caller, refresh_token: str) -> None:
    with suppress(httpx2.HTTPError):
        caller.token(grant_type="refresh_token", refresh_token=refresh_token)
