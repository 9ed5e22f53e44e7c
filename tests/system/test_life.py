"""A server's life: it starts, announces itself, is repaired, stops, and can be killed at any moment."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest
from tests.system.conftest import MakeServer
from tests.system.server import Server
from tests.system.waiting import alive, until

from ostiary.cli.programs import DRAIN_SECONDS

START_BUDGET = 4.0
"""Times as long as loading the control plane once: the 5 s of the budget where that takes 1.25 s."""
REPAIRED_WITHIN = 30.0
STOPS_WITHIN = 20.0


def _loading() -> float:
    """Seconds that loading the control plane takes here now: the measure of this machine and moment."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import ostiary.app"], check=True, timeout=60)
    return time.monotonic() - started


def _serves(server: Server) -> bool:
    try:
        with server.gateway() as gateway, server.management() as management:
            return (
                gateway.get("/gateway/jwks").status_code == 200
                and management.get("/oauth2/jwks").status_code == 200
            )
    except httpx2.TransportError:
        return False


@pytest.mark.alone
def test_it_is_ready_within_the_budget_and_announces_where_it_is(a_server: MakeServer):
    server = a_server(http=True)
    loading = _loading()
    started = time.monotonic()

    server.start()

    took = time.monotonic() - started
    assert server.ready() == {
        "management": f"https://localhost:{server.management_port}",
        "gateway": f"https://localhost:{server.gateway_port}",
        "http": f"http://127.0.0.1:{server.http_port}",
        "ca": str(server.directory / "tls" / "ca.pem"),
    }
    assert _serves(server)
    assert took < START_BUDGET * max(loading, _loading())


def test_what_is_secret_on_disk_is_private(server: Server):
    for path in server.directory.rglob("*"):
        mode = path.stat().st_mode
        if not stat.S_ISDIR(mode) and path.name not in ("ca.pem",):
            assert mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0, path


def test_the_first_password_is_written_to_a_private_file_when_nobody_watches(a_server: MakeServer):
    server = a_server()
    del server.environment["OSTIARY_ADMIN_PASSWORD"]

    server.start()

    file = server.directory / "admin-password"
    password = file.read_text().strip()
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(password) >= 16
    assert password not in server.said()


def test_sigterm_leaves_no_process_and_no_trace(server: Server):
    pids = list(server.tree())

    status = server.terminate()

    assert status == 0
    assert not [pid for pid in pids if alive(pid)]
    assert server.ready() is None
    assert not list((server.directory / "run").glob("*.sock"))


def test_a_killed_supervisor_leaves_no_process_and_can_be_started_again(server: Server):
    pids = list(server.tree())
    assert server.process is not None

    server.process.kill()
    server.process.wait(5)

    until(lambda: not any(map(alive, pids)), what="the end of every process")
    server.start()
    assert _serves(server)


@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.6, 2.2, 3.0])
def test_a_server_that_is_told_to_stop_while_it_starts_leaves_nothing(a_server: MakeServer, seconds: float):
    server = a_server()
    process = server.launch()
    time.sleep(seconds)  # the moment is what is tested
    pids = list(server.tree())

    process.terminate()

    process.wait(STOPS_WITHIN)
    assert not [pid for pid in pids if alive(pid)]
    assert server.ready() is None
    assert "Traceback" not in server.said()


@pytest.mark.parametrize("seconds", [1.0, 1.6, 2.2, 3.0])
def test_a_supervisor_that_is_killed_while_it_starts_leaves_nothing(a_server: MakeServer, seconds: float):
    server = a_server()
    process = server.launch()
    time.sleep(seconds)  # the moment is what is tested
    pids = list(server.tree())

    process.kill()

    process.wait(STOPS_WITHIN)
    until(lambda: not any(map(alive, pids)), what="the end of every process")


@pytest.mark.alone
def test_a_stop_does_not_wait_for_idle_connections(server: Server):
    with server.gateway() as gateway, server.management() as management:
        for client, path in ((gateway, "/gateway/jwks"), (management, "/oauth2/jwks")):
            client.get(path)
        started = time.monotonic()

        assert server.terminate() == 0

    assert time.monotonic() - started < DRAIN_SECONDS


def test_a_stop_waits_for_the_request_under_way(server: Server):
    with _half_a_request(server) as (connection, rest):
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in server.said(), what="the signal's effect")
        until(lambda: _refuses_connections(server), what="the listener's end")

        connection.sendall(rest)

        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")
    assert server.process.wait(STOPS_WITHIN) == 0


@pytest.mark.alone
def test_a_second_signal_does_not_wait_for_requests_under_way(server: Server):
    with _half_a_request(server):
        assert server.process is not None
        server.process.send_signal(signal.SIGINT)
        until(lambda: "stopping" in server.said(), what="the first signal's effect")
        started = time.monotonic()
        server.process.send_signal(signal.SIGINT)

        assert server.process.wait(STOPS_WITHIN) == 0
    assert time.monotonic() - started < DRAIN_SECONDS


@contextmanager
def _half_a_request(server: Server) -> Iterator[tuple[socket.socket, bytes]]:
    """A token request that is under way, and what is still to be sent of it."""
    body = b"grant_type=client_credentials&client_id=nobody&client_secret=none"
    head = f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    kind = "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", server.gateway_port), timeout=10) as plain,
        server.trust().wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall((head + kind).encode() + body[:10])
        yield connection, body[10:]


def _refuses_connections(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.gateway_port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


CHILDREN = {
    "a worker": ("ostiary.cli.worker",),
    "the agent": ("ostiary.gateway.node",),
    "the management HAProxy": ("haproxy", "management.cfg"),
    "the gateway HAProxy": ("haproxy", "gateway.cfg"),
}


@pytest.mark.parametrize("child", CHILDREN)
def test_a_killed_child_is_replaced(server: Server, child: str):
    words = CHILDREN[child]
    victim = server.find(*words)

    os.kill(victim, signal.SIGKILL)

    until(lambda: not alive(victim), what="its end")
    until(lambda: _replaced(server, words, victim), REPAIRED_WITHIN, f"another {child}")
    until(lambda: _serves(server), REPAIRED_WITHIN, "service")


@pytest.mark.parametrize("listener", ["management", "gateway"])
def test_a_killed_haproxy_worker_is_replaced(server: Server, listener: str):
    master = server.find("haproxy", f"{listener}.cfg")
    victim = max(pid for pid, line in server.tree().items() if f"{listener}.cfg" in line and pid != master)

    os.kill(victim, signal.SIGKILL)

    until(lambda: not alive(victim), what="its end")
    until(lambda: _serves(server), REPAIRED_WITHIN, "service")


def test_everything_killed_at_once_loses_nothing_acknowledged(server: Server):
    applied = server.ostiary("apply", "-f", str(_organization(server)))
    assert applied.returncode == 0, applied.stderr

    server.kill_everything()
    server.start()

    again = server.ostiary("apply", "--dry-run", "-f", str(_organization(server)))
    assert again.returncode == 0, again.stderr
    with server.gateway() as gateway:
        token = gateway.post(
            "/token", data={"grant_type": "client_credentials"}, auth=("mobile", "mobile-secret")
        )
    assert token.status_code == 200, token.text


def test_logs_are_json_lines_on_request(a_server: MakeServer):
    server = a_server().start("--log-format", "json")
    os.kill(server.find("ostiary.gateway.node"), signal.SIGKILL)
    until(lambda: "program_ended" in server.said(), REPAIRED_WITHIN, "the report")
    server.terminate()

    events = [json.loads(line)["event"] for line in server.said().splitlines()]

    assert {"ready", "program_ended", "stopping"} <= set(events)


def _replaced(server: Server, words: tuple[str, ...], victim: int) -> bool:
    found = [pid for pid, line in server.tree().items() if all(word in line for word in words)]
    return bool(found) and victim not in found


def _organization(server: Server):
    file = server.directory.parent / "organization.yaml"
    file.write_text(
        """\
apiVersion: ostiary/v1
organization: {name: my_company}
users: [{username: bob, password: bobs-password-1}]
applications:
  - name: Mobile
    owner: bob
    keys:
      production: {client_id: mobile, client_secret: mobile-secret, grant_types: [client_credentials]}
"""
    )
    return file
