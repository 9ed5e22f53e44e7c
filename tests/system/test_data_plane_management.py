"""The management listener: everything but `/internal` reaches a worker that lives, with our headers."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.ports import free_port
from tests.system.data_plane import (
    Answer,
    Backend,
    DataPlane,
    UnixHTTP,
    call_on,
    management,
)
from tests.system.waiting import alive, until

from ostiary.gateway.plan import GatewayPlan
from ostiary.gateway.supervise import find_haproxy


@dataclass
class Management:
    """A management HAProxy and its two workers."""

    plane: DataPlane
    port: int
    workers: list[UnixHTTP]

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        context = ssl.create_default_context(cafile=self.plane.folder / "ca.pem")
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=10, context=context)
        try:
            return call_on(connection, method, path, None, body, **headers)
        finally:
            connection.close()

    def restart(self, number: int) -> None:
        self.workers[number] = _worker(self.plane.folder, number)


def _worker(folder: Path, number: int) -> UnixHTTP:
    return UnixHTTP(folder / f"worker-{number}.sock", lambda *_: (200, f"worker {number}"))


@pytest.fixture
def listener() -> Iterator[Management]:
    plane = DataPlane(GatewayPlan(), Backend())
    port = free_port()
    made = Management(plane, port, [_worker(plane.folder, number) for number in range(2)])
    management(plane.folder, port, ["worker-0.sock", "worker-1.sock"])
    plane.launch("management")
    try:
        yield made
    finally:
        plane.stop()
        plane.backend.stop()
        for worker in made.workers:
            worker.stop()


def test_what_is_internal_is_never_routed(listener: Management):
    paths = [
        "/internal",
        "/internal/",
        "/internal/gateway/v1/plan",
        "/INTERNAL/gateway/v1/plan",
        "/t/my_company/internal/gateway/v1/plan",
        "/internal?x",
    ]
    hidden = [
        "/x/../internal/y",
        "//internal/y",
        "/%69nternal/y",
        "/internal%2fy",
        "/./internal/y",
        "/internal;x/y",
    ]

    assert [listener.call("GET", path).status for path in paths] == [404] * len(paths)
    assert [listener.call("GET", path).status for path in hidden] == [400] * len(hidden)
    assert not any(
        path.lower().find("internal") >= 0 for worker in listener.workers for path, _ in worker.asked
    )


def test_everything_else_reaches_a_worker_with_our_headers(listener: Management):
    forged = {"X-Forwarded-For": "10.0.0.1", "X-Request-Id": "forged", "X_Forwarded_Proto": "http"}

    answer = listener.call("GET", "/api/internal?of=x", **forged)

    assert answer.status == 200
    headers = next(
        dict(headers)
        for worker in listener.workers
        for (path, _), headers in zip(worker.asked, worker.headers, strict=False)
        if path == "/api/internal?of=x"
    )
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-request-id"] == answer.headers["x-request-id"] != "forged"
    assert "x_forwarded_proto" not in headers


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Authorization": "Bearer a, Bearer b"}, None, 400),
        ({"X-Large": "x" * 20_000}, None, 431),
        ({"Content-Length": str(11 * 2**20)}, b"", 413),
    ],
)
def test_a_refusal_names_the_request(
    listener: Management, headers: dict[str, str], body: bytes | None, status: int
):
    answer = listener.call("POST", "/oauth2/token", body, **headers)

    assert answer.status == status
    assert answer.json()["code"] == str(status)
    assert answer.json()["traceId"] == answer.headers["x-request-id"]


def test_a_killed_worker_is_skipped(listener: Management):
    assert {listener.call("GET", "/x").body for _ in range(10)} == {b"worker 0", b"worker 1"}
    listener.workers[0].stop()
    (listener.plane.folder / "worker-0.sock").unlink()

    assert [listener.call("GET", "/x").body for _ in range(10)] == [b"worker 1"] * 10

    listener.restart(0)
    until(lambda: listener.call("GET", "/x").body == b"worker 0", what="the worker's return")


def test_no_process_outlives_a_killed_master(listener: Management):
    workers = listener.plane.workers("management")
    assert listener.plane.process is not None

    listener.plane.process.kill()

    until(lambda: not any(alive(worker.pid) for worker in workers), what="the end of the workers")


def test_no_process_outlives_a_killed_parent(tmp_path: Path):
    haproxy = find_haproxy()
    management(tmp_path, free_port(), ["worker-0.sock"])
    program = (
        "import json, subprocess, sys, time; from ostiary.cli.supervisor import die_with_parent;"
        "started = subprocess.Popen(sys.argv[2:], env=json.loads(sys.argv[1]), preexec_fn=die_with_parent());"
        "print(started.pid, flush=True); time.sleep(60)"
    )
    command = [json.dumps(dict(haproxy.environment)), *haproxy.command(tmp_path, "management")]
    parent = subprocess.Popen(
        [sys.executable, "-c", program, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    master = int(parent.stdout.readline())
    children = Path(f"/proc/{master}/task/{master}/children")
    (worker,) = until(lambda: children.read_text().split(), what="a worker")

    parent.send_signal(signal.SIGKILL)
    parent.wait(5)

    until(lambda: not alive(master) and not alive(int(worker)), what="the end of HAProxy")


def test_a_second_haproxy_cannot_share_the_port(listener: Management, tmp_path: Path):
    haproxy = find_haproxy()
    management(tmp_path, listener.port, ["worker-0.sock"])

    second = subprocess.run(
        haproxy.command(tmp_path, "management"),
        env={**os.environ, **haproxy.environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert second.returncode != 0
    assert "Address already in use" in second.stderr
    assert listener.call("GET", "/x").status == 200


def test_guessing_client_secrets_is_stopped_by_address_and_good_clients_elsewhere_are_not(
    listener: Management,
):
    """Address limits act before client authentication only: refused users (400) never count."""
    refused = UnixHTTP(
        listener.plane.folder / "worker-0.sock", lambda *_: (401, '{"error":"invalid_client"}')
    )
    listener.workers[1].stop()
    try:
        until(lambda: listener.call("POST", "/oauth2/token", b"x=y").status == 401)
        statuses = [listener.call("POST", "/t/acme/oauth2/token", b"x=y").status for _ in range(130)]
        answer = listener.call("POST", "/oauth2/token", b"x=y")

        assert set(statuses) == {401, 429}
        assert statuses == sorted(statuses)
        assert answer.status == 429
        assert answer.headers["retry-after"] == "10"
        assert json.loads(answer.body)["error"] == "temporarily_unavailable"
        assert listener.call("GET", "/oauth2/jwks").status == 401  # the stand-in answers: not limited
    finally:
        refused.stop()


@pytest.mark.parametrize("sent", [b"", b"g"])
def test_a_body_that_trickles_reaches_no_worker(listener: Management, sent: bytes):
    context = ssl.create_default_context(cafile=listener.plane.folder / "ca.pem")
    head = b"POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as plain:
        connection = context.wrap_socket(plain, server_hostname="localhost")
        connection.sendall(head + sent)

        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
