"""Requests to outside services: guarded addresses, one deadline, bounded answers.

https except to loopback; redirects are never followed; the proxy variables of the environment
are not read. A name is resolved once and the checked address is the one connected to, so an
answer that changes between check and use (DNS rebinding) gains nothing.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpcore2
from httpcore2 import AsyncNetworkBackend, AsyncNetworkStream

from ostiary.foundation.outbound_streams import connect

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class OutboundRefused(Exception):
    """The address is not one we go to. The text is for the administrator who set it."""


class OutboundFailed(Exception):
    """No usable answer: unreachable, too slow, too long, or not HTTP. `reason` is one word of each."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """Where outbound requests may go.

    `allowed_networks`: loopback and private networks that may be reached (public addresses always
    may). `own_ports`: our listeners' ports, refused on loopback. `sqlite_directory`: where database files of
    user stores may be; nowhere without it.
    """

    allowed_networks: tuple[Network, ...] = LOOPBACK
    own_ports: frozenset[int] = frozenset()
    sqlite_directory: Path | None = None

    def check_url(self, url: str) -> None:
        """Refuse what no name resolution could make right.

        Raises:
            OutboundRefused: not an http(s) URL, carries a user, is http to elsewhere than loopback,
                or names a refused address.
        """
        parts = _split(url)
        address = _literal(parts.host)
        if parts.scheme == "http" and not (parts.host == "localhost" or (address and address.is_loopback)):
            raise OutboundRefused(
                f"{parts.scheme}://{parts.host} is not protected: use https (http is for loopback only)"
            )
        if address is not None:
            self.check_address(address, parts.port)

    def check_address(self, address: Address, port: int) -> None:
        """Refuse an address we must not connect to.

        Raises:
            OutboundRefused: link-local, metadata, our own listener, or in no allowed network.
        """
        plain = _carried(address) or address
        if plain in _METADATA or plain.is_link_local or plain.is_unspecified or plain.is_multicast:
            raise OutboundRefused(f"{plain} is never reached from here (link-local, metadata or unspecified)")
        if plain.is_loopback and port in self.own_ports:
            raise OutboundRefused(f"{plain}:{port} is our own listener")
        if not plain.is_global and not any(plain in network for network in self.allowed_networks):
            raise OutboundRefused(f"{plain} is in no network of the setting outbound.allowed_networks")

    async def resolve(self, host: str, port: int) -> list[Address]:
        """The addresses of `host`, all of them checked.

        Raises:
            OutboundRefused: one of them is refused.
            OutboundFailed: the name does not resolve.
        """
        literal = _literal(host)
        found = [literal] if literal is not None else await _look_up(host, port)
        for address in found:
            self.check_address(address, port)
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: `body` has at most the asked-for number of bytes."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class ForwardProxy:
    """A proxy on the way out (RFC 9110 §3.7). It resolves names, so only its own address is checked."""

    url: str
    username: str | None = None
    password: str = field(default="", repr=False)


class OutboundClient:
    """A pool of connections to one party, such as one user store."""

    def __init__(
        self,
        policy: OutboundPolicy,
        ssl_context: ssl.SSLContext | None = None,
        connections: int = 20,
        proxy: ForwardProxy | None = None,
    ) -> None:
        self._policy = policy
        auth = None if proxy is None or proxy.username is None else (proxy.username, proxy.password)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl_context or ssl.create_default_context(),
            proxy=None if proxy is None else httpcore2.Proxy(proxy.url, auth),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=30,
            retries=0,
            network_backend=_GuardedBackend(policy),
        )

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes,
        deadline: timedelta,
        largest_answer: int = 65_536,
    ) -> Answer:
        """Send one request and read its whole answer, both within `deadline`.

        Raises:
            OutboundRefused: the policy forbids the address.
            OutboundFailed: connect, timeout, protocol or too_large.
        """
        self._policy.check_url(url)
        try:
            async with (
                asyncio.timeout(deadline.total_seconds()),
                self._stream(method, url, headers, content) as response,
            ):
                return await _read(response, largest_answer)
        except TimeoutError as error:
            raise OutboundFailed("timeout") from error
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.ProxyError, OSError) as error:
            raise OutboundFailed("connect") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            raise OutboundFailed("protocol") from error

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()

    @asynccontextmanager
    async def _stream(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes
    ) -> AsyncIterator[httpcore2.Response]:
        sent = {**headers, "Host": urlsplit(url).netloc, "Content-Length": str(len(content))}
        async with self._pool.stream(method, url, headers=list(sent.items()), content=content) as response:
            yield response


class _GuardedBackend(AsyncNetworkBackend):
    """Connects to checked addresses only, the first that answers."""

    def __init__(self, policy: OutboundPolicy) -> None:
        self._policy = policy

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the interface's name)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncNetworkStream:
        failure: Exception = httpcore2.ConnectError("no address")
        for address in await self._policy.resolve(host, port):
            try:
                return await connect(str(address), port)
            except httpcore2.ConnectError as error:
                failure = error
        raise failure

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> AsyncNetworkStream:
        raise OutboundRefused("outbound requests do not go to unix sockets")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class _Parts:
    scheme: str
    host: str
    port: int


def _split(url: str) -> _Parts:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OutboundRefused(f"not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OutboundRefused("expected a URL such as https://host.example/path")
    if parts.username is not None or parts.password is not None:
        raise OutboundRefused("the URL must not carry a user name or password")
    return _Parts(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80))


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _carried(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, 6to4 or behind NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


async def _look_up(host: str, port: int) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        rows = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise OutboundFailed("connect") from error
    return list(dict.fromkeys(ipaddress.ip_address(str(row[4][0]).partition("%")[0]) for row in rows))


async def _read(response: httpcore2.Response, largest: int) -> Answer:
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > largest:
            raise OutboundFailed("too_large")
    return Answer(response.status, bytes(body))
