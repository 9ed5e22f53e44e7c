"""A start that cannot succeed says one clear line, leaves nothing running and ends with status 1."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.conftest import MakeServer
from tests.system.server import Server

ENDS_WITHIN = 20.0


def _refused(server: Server, *options: str, **environment: str) -> str:
    """Start, wait for the end; the one line it said."""
    process = server.launch(*options, **environment)
    try:
        status = process.wait(ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        server.kill_everything()
        pytest.fail(f"it started: {server.said()}")
    lines = [line for line in server.said().splitlines() if line.strip()]
    assert status == 1, lines
    assert len(lines) == 1, lines
    assert lines[0].startswith("ostiary: ")
    assert server.ready() is None
    assert not list((server.directory / "run").glob("*.sock"))
    return lines[0].removeprefix("ostiary: ")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("0.0.0.0", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.mark.parametrize("which", ["management", "gateway", "http"])
def test_a_taken_port_is_named_with_the_option_that_changes_it(
    a_server: MakeServer, taken_port: int, which: str
):
    server = a_server()
    setattr(server, f"{which}_port", taken_port)

    line = _refused(server)

    assert line == (
        f"port {taken_port} is taken by another program: stop it, or choose another with --{which}-port"
    )


def test_a_second_server_on_the_same_directory_is_told_who_is_first(server: Server, a_server: MakeServer):
    second = a_server()
    second.log = server.directory.with_suffix(".second.log")
    process = second.launch()

    assert process.wait(ENDS_WITHIN) == 1
    assert server.process is not None
    assert second.said().strip() == (
        f"ostiary: {server.directory} is in use by another ostiary (process {server.process.pid}): "
        "stop that one first, or choose another directory with --data-dir"
    )
    assert server.ready() is not None
    assert server.gateway().get("/gateway/jwks").status_code == 200


def test_a_damaged_database_says_what_to_do(a_server: MakeServer):
    server = a_server()
    server.directory.mkdir()
    (server.directory / "ostiary.db").write_bytes(b"this is not a database at all" * 500)

    line = _refused(server)

    assert "ostiary.db is damaged" in line
    assert "restore your last backup" in line


def test_a_missing_haproxy_says_how_to_get_one(a_server: MakeServer, scratch: Path):
    (scratch / "empty").mkdir()

    line = _refused(a_server(), PATH=str(scratch / "empty"), OSTIARY_HAPROXY=str(scratch / "no-haproxy"))

    assert "haproxy" in line.lower()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OSTIARY_WORKERZ", "2", "OSTIARY_WORKERZ: unknown setting; did you mean OSTIARY_WORKERS?"),
        ("OSTIARY_PUBLIC_URL", "http://example.com", "public_url"),
        ("OSTIARY_LOG_FORMAT", "xml", "log_format"),
    ],
)
def test_a_bad_setting_is_named(a_server: MakeServer, variable: str, value: str, said: str):
    line = _refused(a_server(), **{variable: value})

    assert said in line


def test_an_unknown_key_in_the_settings_file_is_named(a_server: MakeServer, scratch: Path):
    settings = scratch / "ostiary.toml"
    settings.write_text("[tokens]\nlifetme = 60\n")

    line = _refused(a_server(), "--config", str(settings))

    assert line == f"{settings}: tokens.lifetme: unknown setting"


def test_a_settings_file_that_is_no_toml_is_named(a_server: MakeServer, scratch: Path):
    settings = scratch / "ostiary.toml"
    settings.write_text("workers: 2\n")

    assert f"{settings}: not valid TOML" in _refused(a_server(), "--config", str(settings))


def test_a_data_directory_that_cannot_be_made_says_so(a_server: MakeServer, scratch: Path):
    (scratch / "file").touch()

    line = _refused(a_server("file/data"))

    assert line.startswith(f"the data directory {scratch}/file/data cannot be used")
    assert "--data-dir" in line
