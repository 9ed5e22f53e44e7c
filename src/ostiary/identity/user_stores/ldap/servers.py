"""The servers of one directory: which is asked, over which connection, and which one next.

Connections for looking people up are bound as the service account and kept; those on which people prove who
they are, are others. A server that failed is asked last for a while.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, TypeVar

from anyldap.ldap import errors

from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity.user_stores.contract import StoreUnavailable
from ostiary.identity.user_stores.ldap.client import (
    DirectoryConnection,
    DirectoryError,
    InvalidCredentials,
    ServerGone,
    tls_context,
)
from ostiary.identity.user_stores.ldap.meanings import meaning_of
from ostiary.identity.user_stores.ldap.settings import Address, LDAPSettings
from ostiary.identity.user_stores.steps import note

Purpose = Literal["search", "login"]
Result = TypeVar("Result")
Work = Callable[[DirectoryConnection], Awaitable[Result]]

_REST: Final = 10.0
"""Seconds for which a server that failed is asked last."""
_TROUBLED: Final = (errors.BUSY, errors.UNAVAILABLE)
"""What a server says that cannot answer now."""


class Servers:
    """Runs work on a connection to whichever server answers."""

    def __init__(self, settings: LDAPSettings, policy: OutboundPolicy, deadline: float) -> None:
        """`deadline`: seconds a login may take; each server but the last gets its share."""
        self._settings = settings
        self._policy = policy
        self._addresses = settings.addresses
        self._share = deadline / (len(self._addresses) + 1)
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._idle: dict[tuple[Address, Purpose], list[DirectoryConnection]] = defaultdict(list)
        self._resting: dict[Address, float] = {}

    async def run(self, purpose: Purpose, work: Work[Result]) -> Result:
        """Do this where somebody answers. A password that may have been counted is never sent twice.

        Raises:
            StoreUnavailable: nobody answers, or what we say of ourselves is refused.
            DirectoryError: what the server answered to `work`.
        """
        order = self._order()
        for place, address in enumerate(order, 1):
            is_last = place == len(order)
            try:
                async with asyncio.timeout(None if is_last else self._share):
                    return await self._run_at(address, purpose, work)
            except StoreUnavailable as outage:
                self._rest(address)
                if is_last or not outage.down or outage.knows_user:
                    raise
            except TimeoutError as error:
                self._rest(address)
                if purpose == "login":
                    raise StoreUnavailable(f"{address.url} did not answer in time", down=True) from error
        raise StoreUnavailable("no server", down=True)  # pragma: no cover (there is always one)

    async def close(self) -> None:
        """Close every idle connection."""
        for connections in self._idle.values():
            for connection in connections:
                await connection.close()
        self._idle.clear()

    def _order(self) -> Sequence[Address]:
        now = asyncio.get_running_loop().time()
        return sorted(self._addresses, key=lambda address: self._resting.get(address, 0.0) > now)

    def _rest(self, address: Address) -> None:
        self._resting[address] = asyncio.get_running_loop().time() + _REST

    async def _run_at(self, address: Address, purpose: Purpose, work: Work[Result]) -> Result:
        idle = self._idle[address, purpose]
        while idle:
            try:
                return await self._keep(idle.pop(), purpose, work)
            except ServerGone:
                continue  # it was closed while nobody used it
        connection = await self._open(address, purpose)
        try:
            return await self._keep(connection, purpose, work)
        except ServerGone as error:
            raise StoreUnavailable(f"{address.url} closed the connection", down=True) from error

    async def _keep(self, connection: DirectoryConnection, purpose: Purpose, work: Work[Result]) -> Result:
        """Do it on this connection, and keep that where it is still good."""
        is_good = False
        try:
            result = await work(connection)
            is_good = True
        except ServerGone:
            raise
        except _TROUBLED as error:
            raise StoreUnavailable(f"{connection.address.url}: {meaning_of(error)}", down=True) from error
        except DirectoryError:
            is_good = True
            raise
        finally:
            if is_good:
                self._resting.pop(connection.address, None)
                self._idle[connection.address, purpose].append(connection)
            else:
                await connection.close()
        return result

    async def _open(self, address: Address, purpose: Purpose) -> DirectoryConnection:
        settings = self._settings
        context = self._context(address) if address.tls or settings.start_tls else None
        connection = await DirectoryConnection.open(
            address, self._policy, context, start_tls=settings.start_tls
        )
        note("connected", server=address.url, tls=connection.peer())
        if purpose == "login" or settings.bind is None:
            return connection
        try:
            await self._introduce(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _introduce(self, connection: DirectoryConnection) -> None:
        """Say who we are. That we are refused is no fault of the server."""
        bind = self._settings.bind
        if bind is None or bind.password is None:
            raise StoreUnavailable("its_password_is_not_set")
        try:
            await connection.bind(bind.dn, bind.password)
        except ServerGone as error:
            raise StoreUnavailable(f"{connection.address.url} closed the connection", down=True) from error
        except InvalidCredentials as error:
            raise StoreUnavailable(
                f"the service account {bind.dn} is refused ({meaning_of(error)})"
            ) from error
        except DirectoryError as error:
            raise StoreUnavailable(f"the service account cannot log in ({meaning_of(error)})") from error
        note("service account", dn=bind.dn)

    def _context(self, address: Address) -> ssl.SSLContext:
        if address.host not in self._contexts:
            settings = self._settings
            try:
                context = tls_context(address.host, settings.ca, settings.strict_x509)
            except ValueError as error:
                raise StoreUnavailable(f"'ca' holds no {error}") from error
            self._contexts[address.host] = context
        return self._contexts[address.host]
