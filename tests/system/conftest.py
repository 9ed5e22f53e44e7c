"""Fixtures of the system tests: a real process tree, in a scratch directory, on free ports."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.system.server import Server

MakeServer = Callable[..., Server]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory whose path is short enough for unix sockets."""
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def a_server(scratch: Path) -> Iterator[MakeServer]:
    """Makes servers that are not started yet; ends them all."""
    made: list[Server] = []

    def make(name: str = "data", *, workers: int = 1, http: bool = False) -> Server:
        server = Server(scratch / name, workers=workers, http=http)
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def server(a_server: MakeServer) -> Server:
    """A server that is ready."""
    return a_server().start()
