"""Outbound requests: which addresses, how long, how much (security cases: outside-store traps)."""

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from ostiary.foundation.http_client import OutboundClient, OutboundFailed, OutboundPolicy, OutboundRefused

POLICY = OutboundPolicy(own_ports=frozenset({9443}))


@pytest.mark.parametrize(
    "url",
    [
        "http://legacy.example/login",
        "ftp://legacy.example/login",
        "//legacy.example",
        "https://",
        "https://user:pw@legacy.example/",
        "https://legacy.example:99999/",
        "https://169.254.169.254/latest",
        "https://[::ffff:169.254.169.254]/",
        "https://[64:ff9b::169.254.169.254]/",  # the same address behind NAT64
        "https://[2002:a9fe:a9fe::1]/",  # and in 6to4
        "https://192.0.0.192/",
        "https://10.0.0.7/",
        "https://0.0.0.0/",
        "https://[::]/",
        "https://127.0.0.1:9443/oauth2/token",
        "http://127.0.0.1.example/",
        "https://224.0.0.1/",
    ],
)
def test_an_address_we_do_not_go_to_is_refused_by_its_text(url: str) -> None:
    with pytest.raises(OutboundRefused):
        POLICY.check_url(url)


@pytest.mark.parametrize(
    "url",
    ["https://legacy.example/login", "http://127.0.0.1:9700/a", "http://localhost/", "http://[::1]:80/"],
)
def test_https_and_loopback_are_fine(url: str) -> None:
    POLICY.check_url(url)


def test_private_networks_are_reached_when_allowed() -> None:
    policy = OutboundPolicy((ipaddress.ip_network("10.1.0.0/16"),))

    policy.check_url("https://10.1.2.3/")
    with pytest.raises(OutboundRefused):
        policy.check_url("https://10.2.2.3/")


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f.1", "localhost"])
async def test_other_spellings_of_our_own_listener_are_refused_when_connecting(host: str) -> None:
    with pytest.raises((OutboundRefused, OutboundFailed)):
        await POLICY.resolve(host, 9443)


@asynccontextmanager
async def a_server(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await answer(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def ask(url: str, deadline: float = 2) -> int:
    client = OutboundClient(OutboundPolicy())
    try:
        answer = await client.request(
            "POST", url, {"Content-Type": "text/plain"}, b"x", timedelta(seconds=deadline), 1000
        )
        return answer.status
    finally:
        await client.close()


async def test_an_answer_is_read_whole() -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with a_server(answer) as url:
        assert await ask(url) == 200


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")

    async with a_server(answer) as url:
        assert await ask(url) == 302


@pytest.mark.parametrize("declared", [b"Content-Length: 50000000\r\n\r\n", b"\r\n"])
async def test_a_long_answer_is_cut_off(declared: bytes) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + declared)
        for _ in range(50):
            writer.write(b"x" * 1_000_000)
            await writer.drain()

    async with a_server(answer) as url:
        with pytest.raises(OutboundFailed, match="too_large"):
            await ask(url)


async def test_one_byte_a_second_ends_at_the_deadline() -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n")
        for _ in range(50):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.1)

    async with a_server(answer) as url:
        started = time.monotonic()
        with pytest.raises(OutboundFailed, match="timeout"):
            await ask(url, deadline=0.5)
        assert time.monotonic() - started < 3


async def test_nothing_listening_is_a_connect_failure() -> None:
    async with a_server(lambda writer: asyncio.sleep(0)) as url:
        pass
    with pytest.raises(OutboundFailed, match="connect"):
        await ask(url)


async def test_something_that_is_not_http_is_a_protocol_failure() -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp ready\r\n")

    async with a_server(answer) as url:
        with pytest.raises(OutboundFailed, match="protocol"):
            await ask(url)
