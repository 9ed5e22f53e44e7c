"""The connections of outbound requests: httpcore's stream on a transport of the event loop.

httpcore brings one on AnyIO, which asks the operating system about every idle connection before each
request and costs as much again as the request. Here the loop tells when the other side says something or
goes away, so a look at an idle connection is a look at two attributes.
"""

import asyncio
import ssl
from collections.abc import Awaitable
from typing import Any, cast

from httpcore2 import (
    AsyncNetworkBackend,
    AsyncNetworkStream,
    ConnectError,
    ConnectTimeout,
    ReadError,
    ReadTimeout,
    WriteError,
    WriteTimeout,
)

_AT_MOST = 262_144
"""Bytes that wait to be read; beyond it the other side has to wait."""


class _Wire(asyncio.Protocol):
    """What came in and was not read yet, and whether more can come."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.is_over = False
        self.failure: Exception | None = None
        self._transport: asyncio.Transport | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._is_full = False
        self._is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.use(cast("asyncio.Transport", transport))  # uvloop's have no such base class

    def use(self, transport: asyncio.Transport) -> None:
        """Talk over this transport from now on: TLS is one over another."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        if len(self.received) > _AT_MOST and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> bool:
        self.is_over = True
        _wake(self._reader)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over, self.failure, self._is_full = True, exc, False
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        _wake(self._writer)

    async def something(self) -> None:
        """Wait until there is something to read, or never will be."""
        if not self.received and not self.is_over:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader

    async def room(self) -> None:
        """Wait until the other side has taken enough of what was written."""
        if self._is_full:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer

    def take(self, most: int) -> bytes:
        """Up to `most` bytes of what came in."""
        taken = bytes(self.received[:most])
        del self.received[:most]
        if self._is_paused and len(self.received) <= _AT_MOST and self._transport is not None:
            self._is_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return taken


class TransportStream(AsyncNetworkStream):
    """One connection; see httpcore's `AsyncNetworkStream`."""

    def __init__(self, transport: asyncio.Transport, wire: _Wire) -> None:
        self._transport = transport
        self._wire = wire

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(timeout):
                await self._wire.something()
        except TimeoutError as error:
            raise ReadTimeout() from error
        if not self._wire.received and self._wire.failure is not None:
            raise ReadError(str(self._wire.failure))
        return self._wire.take(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if self._transport.is_closing():
            raise WriteError("the connection is closed")
        self._transport.write(buffer)
        try:
            async with asyncio.timeout(timeout):
                await self._wire.room()
        except TimeoutError as error:
            raise WriteTimeout() from error

    async def aclose(self) -> None:
        """What the other side has not taken by now it does not get."""
        waits = self._transport.get_write_buffer_size() > 0
        self._transport.abort() if waits else self._transport.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                protected = await loop.start_tls(
                    self._transport, self._wire, ssl_context, server_hostname=server_hostname
                )
        except OSError as error:  # TLS refused, the connection lost, the time over
            self._transport.abort()
            raise ConnectError(str(error)) from error
        if protected is None:
            raise ConnectError("the connection was closed during the handshake")
        self._wire.use(protected)
        return TransportStream(protected, self._wire)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # of an idle connection: the other side has gone, or said what nobody asked
            return bool(self._wire.received) or self._wire.is_over
        return self._transport.get_extra_info(info)


async def connect(host: str, port: int) -> TransportStream:
    """Connect to an address.

    Raises:
        ConnectError: nobody answers there.
    """
    return await _connected(asyncio.get_running_loop().create_connection(_Wire, host, port))


class Streams(AsyncNetworkBackend):
    """Connects to wherever it is told, by such streams; see httpcore's `AsyncNetworkBackend`."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the interface's name)
        *_: Any,
        **__: Any,
    ) -> AsyncNetworkStream:
        return await _within(timeout, connect(host, port))

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        *_: Any,
        **__: Any,
    ) -> AsyncNetworkStream:
        connecting = asyncio.get_running_loop().create_unix_connection(_Wire, path)
        return await _within(timeout, _connected(connecting))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _connected(connecting: Awaitable[tuple[asyncio.Transport, _Wire]]) -> TransportStream:
    try:
        transport, wire = await connecting
    except OSError as error:
        raise ConnectError(str(error)) from error
    return TransportStream(transport, wire)


async def _within(seconds: float | None, connecting: Awaitable[TransportStream]) -> TransportStream:
    try:
        async with asyncio.timeout(seconds):
            return await connecting
    except TimeoutError as error:
        raise ConnectTimeout() from error


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
