"""Connections of outbound requests, on the loop of the product and on the one tests run on."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.certificates import Authority

from ostiary.foundation.http_client import OutboundClient, OutboundFailed, OutboundPolicy

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def served(serve: Serve, protected: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    connections: set[asyncio.StreamWriter] = set()

    async def safely(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)

    server = await asyncio.start_server(safely, "127.0.0.1", 0, ssl=protected)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in connections:
            writer.close()


async def ask(client: OutboundClient, url: str, body: bytes = b"x", longest: int = 1_000) -> bytes:
    answer = await client.request("POST", url, {}, body, timedelta(seconds=5), longest)
    return answer.body


async def asked(port: int, times: int = 1, **options: Any) -> list[bytes]:
    client = OutboundClient(OutboundPolicy())
    try:
        return [await ask(client, f"http://127.0.0.1:{port}/", **options) for _ in range(times)]
    finally:
        await client.close()


async def read_request(reader: asyncio.StreamReader, length: int = 1) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(length)


def test_one_connection_serves_one_request_after_another(run: Any) -> None:
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        while True:
            await read_request(reader)
            writer.write(GOOD)

    async def story() -> list[bytes]:
        async with served(serve) as port:
            return await asked(port, 5)

    assert (run(story()), len(connections)) == ([b"ok"] * 5, 1)


@pytest.mark.parametrize(
    "afterwards",
    [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"],
    ids=["leaves", "speaks"],
)
def test_an_idle_connection_whose_other_side_leaves_or_speaks_is_not_used_again(
    run: Any, afterwards: bytes
) -> None:
    """What nobody asked for must not become the answer to the next question."""
    connections: list[int] = []

    async def story() -> list[bytes]:
        answered, gone = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(1)
            await read_request(reader)
            writer.write(GOOD)
            await writer.drain()
            if len(connections) == 1:
                await answered.wait()
                writer.write(afterwards)
                writer.close()
                await writer.wait_closed()
                gone.set()

        async with served(serve) as port:
            client = OutboundClient(OutboundPolicy())
            first = await ask(client, f"http://127.0.0.1:{port}/")
            answered.set()
            await gone.wait()
            for _ in range(20):  # turns of the loop, in which the client's end hears of it
                await asyncio.sleep(0)
            second = await ask(client, f"http://127.0.0.1:{port}/")
            await client.close()
            return [first, second]

    assert (run(story()), len(connections)) == ([b"ok", b"ok"], 2)


def test_large_bodies_pass_both_ways(run: Any) -> None:
    """More than waits to be read at once, so both sides have to wait for each other."""
    large = b"y" * 3_000_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader, len(large))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(large) + large)
        await writer.drain()

    async def story() -> list[bytes]:
        async with served(serve) as port:
            return await asked(port, body=large, longest=len(large))

    assert run(story()) == [large]


def test_an_answer_that_breaks_off_is_a_failure(run: Any) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf")
        writer.close()

    async def story() -> None:
        async with served(serve) as port:
            await asked(port)

    with pytest.raises(OutboundFailed, match="protocol"):
        run(story())


@pytest.mark.parametrize(
    ("names", "is_trusted", "outcome"),
    [
        (("localhost",), True, b"ok"),
        (("other.example",), True, "connect"),
        (("localhost",), False, "connect"),
    ],
    ids=["good", "another name", "nobody we trust"],
)
def test_tls_is_verified(
    run: Any, tmp_path: Path, names: tuple[str, ...], is_trusted: bool, outcome: bytes | str
) -> None:
    authority = Authority()
    trusted = ssl.create_default_context(cadata=authority.ca) if is_trusted else ssl.create_default_context()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(GOOD)

    async def story() -> bytes | str:
        async with served(serve, authority.server(tmp_path, *names)) as port:
            client = OutboundClient(OutboundPolicy(), trusted)
            try:
                return await ask(client, f"https://localhost:{port}/")
            except OutboundFailed as failure:
                return failure.reason
            finally:
                await client.close()

    assert run(story()) == outcome
