"""A WebSocket or event stream lasts as long as what let it through, and no longer."""

import shutil
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system.raw_backend import Connection, RawBackend
from tests.system.scenes import OK, Scene, World, move
from tests.system.server import Server
from tests.system.test_data_plane_streams import HANDSHAKE, echoes
from tests.system.waiting import until
from tests.system.world import LoginServices

pytestmark = pytest.mark.alone

LIFETIME, DECISION_LIFETIME = 6, 2
FELT_WITHIN = 1.0
Open = Callable[[Scene, str], "Stream"]


def echoes_and_events(connection: Connection) -> None:
    """An echo; for whoever asks for events one of them, and nothing more for as long as they listen."""
    if connection.header("Accept") != "text/event-stream":
        echoes(connection)
        return
    connection.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"d\r\ndata: first\n\n\r\n"
    )
    connection.file.read(1)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    services, backend = LoginServices(), RawBackend(echoes_and_events)
    server = Server(directory / "data")
    server.environment |= {
        "OSTIARY_TOKENS__ACCESS_TOKEN_LIFETIME": str(LIFETIME),
        "OSTIARY_GATEWAY__DECISION_LIFETIME": str(DECISION_LIFETIME),
    }
    try:
        server.start()
        world = World(server, services.start().url)
        world.backend_url = f"http://127.0.0.1:{backend.port}"
        yield world
        world.close()
    finally:
        server.stop()
        services.close()
        backend.stop()
        shutil.rmtree(directory, ignore_errors=True)


class Stream:
    """A connection on which something lasting is under way."""

    def __init__(self, scene: Scene, head: bytes, first: bytes) -> None:
        server = scene.world.server
        plain = socket.create_connection(("localhost", server.gateway_port), timeout=20)
        self.connection: ssl.SSLSocket = server.trust().wrap_socket(plain, server_hostname="localhost")
        self.connection.sendall(head)
        self.got = b""
        until(lambda: self._reads(first), what="the first of it")

    def _reads(self, wanted: bytes) -> bool:
        self.got += self.connection.recv(4096)
        return wanted in self.got

    def is_open(self) -> bool:
        """Whether the other side has not ended it; nothing is sent meanwhile."""
        self.connection.settimeout(0.01)
        try:
            return self.connection.recv(1) != b""
        except TimeoutError:
            return True
        except OSError:
            return False


def _head(scene: Scene, token: str, headers: dict[str, str]) -> bytes:
    path = f"/t/{scene.admin.organization}/{scene.name}/1.0.0/1"
    said = headers | {"Authorization": f"Bearer {token}"}
    return "\r\n".join([f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in said.items()), "", ""]).encode()


def a_websocket(scene: Scene, token: str) -> Stream:
    return Stream(scene, _head(scene, token, HANDSHAKE), b"101 ")


def events(scene: Scene, token: str) -> Stream:
    return Stream(
        scene, _head(scene, token, {"Host": "gateway", "Accept": "text/event-stream"}), b"data: first"
    )


BOTH = pytest.mark.parametrize("opened", [a_websocket, events])


@BOTH
def test_it_ends_with_its_token_and_not_with_its_decision(world: World, opened: Open):
    scene = Scene(world, world.organization("acme"))
    token = fresh(scene)
    began = time.monotonic()
    stream = opened(scene, token)

    until(lambda: not stream.is_open(), LIFETIME + 3, "the end of the stream")

    assert LIFETIME - 1.5 < time.monotonic() - began < LIFETIME + 1.5
    assert LIFETIME - 1.5 > DECISION_LIFETIME


def fresh(scene: Scene) -> str:
    """A token that has just been issued, to an application whose calls pass."""
    until(lambda: scene.call(scene.got()["access_token"]) == OK)
    return str(scene.got()["access_token"])


ENDS: dict[str, Callable[[Scene, str], Any]] = {
    "revocation": lambda s, token: s.revoke(token),
    "unsubscribing": lambda s, _: s.unsubscribe(),
    "a block": lambda s, _: s.state("BLOCKED"),
    "a blocked API": lambda s, _: move("BLOCKED")(s),
    "a disabled client": lambda s, _: s.change_client(disabled=True),
}


@BOTH
@pytest.mark.parametrize("end", ENDS)
def test_it_ends_in_the_middle_when_its_calls_would_be_refused(world: World, opened: Open, end: str):
    scene = Scene(world, world.organization("acme"))
    token, other = fresh(scene), Scene(world, world.organization("acme"))
    bystander = opened(other, fresh(other))
    stream = opened(scene, token)
    time_left = time.monotonic() + 1  # both are seen and open for a while
    until(lambda: time.monotonic() > time_left or not stream.is_open())
    assert stream.is_open()

    ENDS[end](scene, token)

    until(lambda: not stream.is_open(), FELT_WITHIN, "the end of the stream")
    assert bystander.is_open()


def test_one_on_a_worker_from_before_a_reload_ends_too(world: World):
    scene = Scene(world, world.organization("acme"))
    token = fresh(scene)
    stream = a_websocket(scene, token)
    before = world.server.find("haproxy", "gateway.cfg")
    reload_gateway(world)
    until(lambda: len(workers(world)) > 1, what="an old and a new worker")
    assert stream.is_open()

    scene.revoke(token)

    until(lambda: not stream.is_open(), FELT_WITHIN, "the end of the stream")
    assert world.server.find("haproxy", "gateway.cfg") == before


def workers(world: World) -> list[int]:
    master = world.server.find("haproxy", "gateway.cfg")
    return [pid for pid, line in world.server.tree().items() if "gateway.cfg" in line and pid != master]


def reload_gateway(world: World) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(world.server.directory / "run" / "gateway.master.sock"))
        connection.sendall(b"reload\n")
        assert connection.recv(9) == b"Success=1"


def test_what_ends_by_itself_is_forgotten(world: World):
    scene = Scene(world, world.organization("acme"))
    streams = [a_websocket(scene, fresh(scene)) for _ in range(3)]
    for stream in streams:
        stream.connection.close()

    def noted() -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(world.server.directory / "run" / "gateway.master.sock"))
            connection.sendall(b"@1 show map maps/streams.map\n")
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    until(lambda: "0x" not in noted(), 15, "an empty map")
