"""Does something answer HTTP there? Asked while the tree starts, and of the real listeners at the end."""

import asyncio
import ssl
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 2.0
_Connecting = Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]


def unverified() -> ssl.SSLContext:
    """TLS to ourselves, on this machine: what is asked is whether it answers, not who it is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def status_on_socket(socket: Path, target: str) -> int | None:
    """The status of `GET target` on a unix socket; `None` without an answer."""
    return await _status(asyncio.open_unix_connection(str(socket)), target)


async def status_on_port(address: str, port: int, target: str, tls: ssl.SSLContext | None) -> int | None:
    """The status of `GET target` on one of our listeners; `None` without an answer."""
    return await _status(asyncio.open_connection(address, port, ssl=tls), target)


async def accepts(socket: Path) -> bool:
    """Whether something listens on a unix socket."""
    try:
        _, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    writer.close()
    return True


async def _status(connect: _Connecting, target: str) -> int | None:
    with suppress(OSError, TimeoutError, ValueError, IndexError, asyncio.IncompleteReadError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await connect
            try:
                writer.write(
                    f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
                )
                return int((await reader.readuntil(b"\r\n")).split()[1])
            finally:
                writer.close()
    return None
