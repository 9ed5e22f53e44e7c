"""Addresses of the backends' names, looked up by the agent and checked against the outbound policy.

HAProxy is given addresses, never names: a name that does not resolve holds up nothing but its own API,
and no answer of a name server reaches an address we must not go to. What was known stays while a name
server is out of reach.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from ostiary.foundation.http_client import OutboundFailed, OutboundPolicy, OutboundRefused
from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.plan import API

_log = get_logger(__name__)
_DEFAULT_PORT = {"http": 80, "https": 443}
_REFRESH_WITHIN = 5.0
Name = tuple[str, int]


class Resolver:
    """The last known, allowed addresses of each (host, port)."""

    def __init__(self, policy: OutboundPolicy) -> None:
        self._policy = policy
        self._known: dict[Name, tuple[str, ...]] = {}
        self._told: dict[Name, tuple[str, ...]] = {}
        self._under_way: dict[Name, asyncio.Task[None]] = {}

    def lookup(self, host: str, port: int) -> tuple[str, ...]:
        """Return what is known now, without waiting; nothing for an unknown or refused address."""
        if _is_literal(host):
            return self._literal(host, port)
        return self._known.get((host, port), ())

    async def learn(self, names: Iterable[Name], within: float) -> bool:
        """Look up names not known yet; says whether all answers came within that many seconds.

        The others are among what the next `refresh` tells.
        """
        new = [name for name in set(names) if name not in self._known and not _is_literal(name[0])]
        in_time = await self._look_up_all(new, within)
        if in_time:
            self._told.update({name: self._known[name] for name in new if name in self._known})
        return in_time

    async def refresh(self, names: Iterable[Name]) -> set[str]:
        """Look up all names again, forget others; returns the hosts whose addresses are not told yet."""
        wanted = {name for name in names if not _is_literal(name[0])}
        for gone in self._known.keys() - wanted:
            del self._known[gone]
        await self._look_up_all(wanted, _REFRESH_WITHIN)
        changed = {name for name in wanted if self._known.get(name) != self._told.get(name)}
        self._told = dict(self._known)
        return {host for host, _ in changed}

    async def _look_up_all(self, names: Iterable[Name], within: float) -> bool:
        """One silent name server holds up no other name: answers that come later are known then."""
        tasks = {self._under_way.get(name) or self._begin(name) for name in names}
        if not tasks:
            return True
        _, late = await asyncio.wait(tasks, timeout=within)
        return not late

    def _begin(self, name: Name) -> asyncio.Task[None]:
        """Ask for a name; it is not asked for again before the answer."""
        task = self._under_way[name] = asyncio.create_task(self._look_up(name))
        task.add_done_callback(lambda _: self._under_way.pop(name, None))
        return task

    def _literal(self, host: str, port: int) -> tuple[str, ...]:
        try:
            self._policy.check_address(ipaddress.ip_address(host), port)
        except OutboundRefused as refusal:
            _log.warning("backend_refused", host=host, port=port, reason=str(refusal))
            return ()
        return (host,)

    async def _look_up(self, name: Name) -> None:
        host, port = name
        try:
            found = await self._policy.resolve(host, port)
        except OutboundRefused as refusal:
            _log.warning("backend_refused", host=host, port=port, reason=str(refusal))
            self._known[name] = ()
        except OutboundFailed:
            if name not in self._known:
                _log.warning("backend_unknown", host=host, port=port)
        else:
            self._known[name] = tuple(sorted(str(address) for address in found))


def names_of(apis: Iterable[API]) -> set[Name]:
    """Return host and port of every backend address."""
    urls = (url for api in apis for url in (*api.backend.production, *api.backend.sandbox))
    return {name for url in urls if (name := _name(url)) is not None}


def _name(url: str) -> Name | None:
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORT.get(parts.scheme)
    except ValueError:
        return None
    return None if parts.hostname is None or port is None else (parts.hostname, port)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
