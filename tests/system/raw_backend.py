"""A backend that does with a connection what the test says: hangs, streams, upgrades, lies."""

import socket
import threading
from collections.abc import Callable
from typing import BinaryIO

Handle = Callable[["Connection"], None]


class Connection:
    """One accepted connection; the request's head is read already, its body is in `file`."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.file: BinaryIO = peer.makefile("rb")
        self.head = b""

    def header(self, name: str) -> str | None:
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    def send(self, data: bytes) -> None:
        self.peer.sendall(data)


class RawBackend:
    """Accepts connections, each in a thread of its own; `handle` may be changed at any time."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.accepted = 0
        self.stopping = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        connection = Connection(peer)
        try:
            if _head_of(connection):
                self.handle(connection)
        except OSError:
            pass  # the proxy hung up
        finally:
            connection.file.close()
            peer.close()

    def stop(self) -> None:
        self.stopping.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _head_of(connection: Connection) -> bool:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = connection.file.readline()
        if not line:
            return False
        head += line
    connection.head = head
    return True


def answers(body: bytes = b"ok", status: str = "200 OK") -> Handle:
    """Answer once and close."""
    return lambda connection: connection.send(
        f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )


def hangs_up(_: Connection) -> None:
    """Close without an answer."""
