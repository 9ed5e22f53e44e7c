"""What the control plane refuses is refused so that it arrives, also while the body is still on its way."""

import shutil
import tempfile
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from tests.system.http_2 import HTTP2
from tests.system.server import Server
from tests.system.uploads import upload

APPLY = "/api/declarative/v1/apply"
LONG = 3_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    server = Server(directory / "data")
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("size", [1, 20_000, LONG])
def test_over_http_2_the_stream_of_a_refused_upload_ends_without_an_error(server: Server, size: int):
    """RFC 9113 §8.1: curl gives up an answer whose stream is then said to be in error."""
    with HTTP2(server.management_port, server.directory / "tls" / "ca.pem") as connection:
        for _ in range(5):
            assert connection.post(APPLY, "a.refused.token", b"x" * size) == (401, set())


@pytest.mark.parametrize("chunked", [False, True])
def test_over_http_1_the_connection_of_a_refused_upload_is_used_again(server: Server, chunked: bool):
    connection = HTTPSConnection("localhost", server.management_port, timeout=10, context=server.trust())
    for _ in range(3):
        status, said = upload(connection, APPLY, LONG, chunked=chunked)
        assert status == 401
        assert b"401" in said
    connection.close()
