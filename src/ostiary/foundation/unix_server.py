"""Serving ASGI on private unix sockets: what workers and the agent have in common."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn


class Server(uvicorn.Server):
    """Uvicorn that is told to stop by us and ends with status 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def private_socket(path: Path, backlog: int) -> socket.socket:
    """Listen on a unix socket that only this user can connect to; takes the place of a dead process's."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    listening.listen(backlog)
    return listening
