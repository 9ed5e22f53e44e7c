"""What does not end with one answer: WebSockets, server-sent events, bodies of any size, HTTP/2."""

import base64
import hashlib
import http.client
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.data_plane import TOKEN, DataPlane, a_decision, an_api, an_organization, running
from tests.system.raw_backend import Connection, RawBackend

from ostiary.gateway.haproxy import Quota

CALL = "/t/my_company/orders/1.0.0/x"
KEY = base64.b64encode(b"sixteen bytes ok").decode()
HANDSHAKE = {
    "Host": "gateway",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    "Authorization": f"Bearer {TOKEN}",
}
LARGE = 200 * 2**20
CHUNK = b"\0" * 2**20


def accept(key: str) -> str:
    """RFC 6455 §4.2.2."""
    return base64.b64encode(
        hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    ).decode()


def echoes(connection: Connection) -> None:
    """A WebSocket service that sends back every byte; to other requests it says what it was asked."""
    if (connection.header("Upgrade"), connection.header("Connection")) != ("websocket", "Upgrade"):
        body = connection.head
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.send(head.encode() + body)
        return
    key = accept(connection.header("Sec-WebSocket-Key") or "")
    connection.send(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {key}\r\n\r\n".encode()
    )
    while data := connection.peer.recv(65536):
        connection.send(data)


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    backend = RawBackend(echoes)
    yield backend
    backend.stop()


@pytest.fixture(scope="module")
def plane(backend: RawBackend) -> Iterator[DataPlane]:
    resources = [(method, "/*", ()) for method in ("GET", "POST")]
    api = an_api(production=[f"http://127.0.0.1:{backend.port}"], resources=resources)
    with running(an_organization(), api) as plane:
        yield plane


@pytest.fixture(autouse=True)
def _a_decision_and_an_echo(plane: DataPlane, backend: RawBackend) -> None:
    backend.handle = echoes
    plane.decide(a_decision())


def handshake(method: str = "GET", **other: str | None) -> bytes:
    headers = HANDSHAKE | {name.replace("_", "-"): value for name, value in other.items()}
    lines = [f"{method} {CALL} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items() if v is not None)]
    return "\r\n".join([*lines, "", ""]).encode()


def shake_hands(plane: DataPlane, method: str = "GET", **other: str | None) -> tuple[socket.socket, bytes]:
    """Ask for an upgrade; the connection and the head of the answer."""
    connection = socket.create_connection(("127.0.0.1", plane.port), timeout=10)
    connection.sendall(handshake(method, **other))
    head = b""
    while b"\r\n\r\n" not in head and (more := connection.recv(4096)):
        head += more
    return connection, head


def test_a_websocket_passes_both_ways(plane: DataPlane):
    connection, head = shake_hands(plane)
    with connection:
        connection.sendall(b"\x81\x05hello")

        assert connection.recv(7, socket.MSG_WAITALL) == b"\x81\x05hello"
    assert head.startswith(b"HTTP/1.1 101 ")
    assert accept(KEY).encode() in head
    assert b"x-request-id:" in head.lower()


def test_a_websocket_without_a_good_token_is_refused(plane: DataPlane):
    connection, head = shake_hands(plane, Authorization="Bearer unknown")
    connection.close()

    assert head.startswith(b"HTTP/1.1 401 ")


def test_a_websocket_is_one_call_of_the_plan(plane: DataPlane):
    plane.decide(a_decision(quota=Quota("websockets", 1, "day")))
    first, head = shake_hands(plane)
    second, refusal = shake_hands(plane)
    first.close()
    second.close()

    assert head.startswith(b"HTTP/1.1 101 ")
    assert refusal.startswith(b"HTTP/1.1 429 ")


@pytest.mark.parametrize(
    "other",
    [
        {"Upgrade": "h2c"},
        {"Upgrade": "websocket/13"},
        {"Upgrade": None},
        {"Connection": "keep-alive"},
        {"Connection": "Upgrade-Insecure"},
        {"Sec_WebSocket_Version": "8"},
        {"Sec_WebSocket_Version": None},
        {"method": "POST", "Content_Length": "0"},
    ],
    ids=str,
)
def test_no_other_upgrade_reaches_a_backend(plane: DataPlane, other: dict[str, str | None]):
    answer = plane.raw(handshake(**other))  # type: ignore[arg-type]

    assert answer.status == 200
    assert b"upgrade:" not in answer.body.lower()
    assert b"connection: upgrade" not in answer.body.lower()


def test_events_arrive_as_they_are_sent(plane: DataPlane, backend: RawBackend):
    def one_event_then_nothing(connection: Connection) -> None:
        connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"d\r\ndata: first\n\n\r\n"
        )
        connection.file.read(1)  # until the caller has seen it and hangs up

    backend.handle = one_event_then_nothing
    connection = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=10)
    connection.request("GET", CALL, headers={"Authorization": f"Bearer {TOKEN}"})
    response = connection.getresponse()

    assert response.readline() == b"data: first\n"
    response.close()
    connection.close()


def resident(plane: DataPlane) -> int:
    """Bytes of memory of the worker."""
    (worker,) = plane.workers()
    pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_large_answer_streams_in_flat_memory(plane: DataPlane, backend: RawBackend):
    def much(connection: Connection) -> None:
        connection.send(f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {LARGE}\r\n\r\n".encode())
        for _ in range(LARGE // len(CHUNK)):
            connection.send(CHUNK)

    backend.handle = much
    before = resident(plane)
    connection = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=30)
    connection.request("GET", CALL, headers={"Authorization": f"Bearer {TOKEN}"})
    response = connection.getresponse()
    read = sum(len(piece) for piece in iter(lambda: response.read(2**20), b""))
    connection.close()

    assert read == LARGE
    assert resident(plane) - before < 20 * 2**20


@pytest.mark.parametrize("declared", [True, False], ids=["with its length", "in chunks"])
def test_a_large_request_streams_in_flat_memory(plane: DataPlane, backend: RawBackend, declared: bool):
    read: list[int] = []

    def swallow(connection: Connection) -> None:
        read.append(_length_of_body(connection))
        connection.send(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    backend.handle = swallow
    before = resident(plane)
    connection = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=30)
    headers = {"Authorization": f"Bearer {TOKEN}"} | ({"Content-Length": str(LARGE)} if declared else {})
    pieces = (CHUNK for _ in range(LARGE // len(CHUNK)))
    connection.request("POST", CALL, body=pieces, headers=headers, encode_chunked=not declared)
    status = connection.getresponse().status
    connection.close()

    assert (status, read) == (204, [LARGE])
    assert resident(plane) - before < 20 * 2**20


def _length_of_body(connection: Connection) -> int:
    length = connection.header("Content-Length")
    if length is not None:
        left = int(length)
        while left:
            left -= len(connection.file.read(min(left, 2**20)))
        return int(length)
    total = 0
    while size := int(connection.file.readline(), 16):
        connection.file.read(size + 2)
        total += size
    connection.file.readline()
    return total


def test_http2_is_spoken_with_clients(plane: DataPlane):
    url = f"https://localhost:{plane.tls_port}{CALL}"
    command = ["curl", "-sk", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{response_code}"]

    done = subprocess.run(
        [*command, "-H", f"Authorization: Bearer {TOKEN}", url], capture_output=True, text=True
    )

    assert done.stdout == "2 200"
