"""Lock-out: how often an identity's password may be guessed, over all grants and spellings.

An attempt takes a place before a store is asked, so parallel guesses cannot overtake their own
counting; it is charged when the login fails and given back otherwise. Two counters each: one of
(user, client), which is soft, and one of the user. A login that finds every place taken by logins
still under way waits for them; only charged failures lock. Never touches sessions or refresh.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.secrets import digest
from ostiary.identity.errors import LoginUnavailable
from ostiary.identity.repository import login_attempts, subjects
from ostiary.identity.repository.login_attempts import Allowance, CounterKey
from ostiary.identity.settings import LockoutSettings

_ALL_CLIENTS = ""
_POLL_SECONDS = 0.02
_SWEEP_EVERY = 500
_SWEEP_ROWS = 2000

Counters = tuple[tuple[CounterKey, Allowance], ...]
"""The user's counter, then the one of (user, client); always touched in this order."""


class LockedOut(Exception):
    """The identity has to wait. Told to nobody: it looks like every other refusal."""


class _Busy(Exception):
    """Every place is taken by logins under way."""


def identity_key(store: str, username: str) -> str:
    """What attempts are counted under: a digest of store and canonical name, whatever the case.

    A store that is said to be case-sensitive and is not would take each spelling as another name.
    """
    return digest(f"{store}\x00{username.casefold()}")


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose attempts are counted."""

    key: str
    """Of `identity_key`."""
    store: str = ""
    username: str = ""
    subject_id: str | None = None
    """Who it is, where that is known before; else whoever bears the name in the store, if anybody does."""
    may_be_several: bool = False
    """Names that differ in case are counted together and may be different people: the login of one must not
    begin the count of another anew."""


class Lockout:
    """Reserves, charges and gives back attempts."""

    def __init__(self, database: Database, settings: LockoutSettings, clock: Clock) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._gates: dict[CounterKey, _Gate] = {}
        self._tried = 0

    @asynccontextmanager
    async def attempt(self, organization_id: str, client_id: str) -> AsyncIterator["Attempt"]:
        """One login. At the end each place it took is charged, cleared or given back."""
        attempt = Attempt(self, organization_id, client_id)
        try:
            yield attempt
        finally:
            await asyncio.shield(attempt.finish())

    async def take(self, counters: Counters) -> bool:
        """Take a place on each counter; says whether it had to wait for logins under way.

        Raises:
            LockedOut: a counter is full of failures.
            LoginUnavailable: no place came free in time; nothing was counted.
        """
        clock = asyncio.get_running_loop().time
        started, waited = clock(), False
        while True:
            try:
                await self._take_whole(counters)
            except _Busy:
                waited = True
                if clock() - started >= self._settings.patience.total_seconds():
                    raise LoginUnavailable() from None
                await asyncio.sleep(_POLL_SECONDS)
            else:
                return waited

    async def enter(self, counters: Counters) -> bool:
        """Come through this worker's gate, so that no more logins poll for a place than there are places.

        Raises:
            LoginUnavailable: as `take`.
        """
        key, allowance = counters[-1]
        gate = self._gates.setdefault(key, _Gate(asyncio.Semaphore(allowance.failures)))
        gate.users += 1
        waited = gate.places.locked()
        try:
            async with asyncio.timeout(self._settings.patience.total_seconds()):
                await gate.places.acquire()
        except BaseException as error:
            self._forget_gate(key, gate)
            if isinstance(error, TimeoutError):
                raise LoginUnavailable() from None
            raise
        return waited

    def leave(self, counters: Counters) -> None:
        """Make room at the gate."""
        key, _ = counters[-1]
        gate = self._gates[key]
        gate.places.release()
        self._forget_gate(key, gate)

    def counters(self, organization_id: str, identity: str, client_id: str) -> Counters:
        """The counters of an identity that logs in through a client."""
        limits = self._settings
        user = CounterKey(organization_id, identity, _ALL_CLIENTS)
        client = CounterKey(organization_id, identity, client_id or "-")
        of_client = Allowance(min(limits.client_failures, limits.user_failures), limits.client_lock)
        return (user, Allowance(limits.user_failures, limits.user_lock)), (client, of_client)

    async def settle(self, attempt: "Attempt") -> None:
        """Write an attempt's end."""
        await self._database.write(lambda connection: attempt.write(connection, self._clock), brief=True)

    async def _take_whole(self, counters: Counters) -> None:
        """Take the places, or none: a login given up meanwhile gives back what its transaction took."""
        self._tried += 1
        if self._tried % _SWEEP_EVERY == 0:
            await self._database.write(self._sweep)  # not brief: thousands of rows may go
        unit = self._database.write(lambda connection: self._take(connection, counters), brief=True)
        transaction = asyncio.ensure_future(unit)
        try:
            await asyncio.shield(transaction)
        except asyncio.CancelledError:
            await asyncio.wait([transaction])
            if transaction.exception() is None:
                await self._database.write(lambda connection: _release(connection, counters))
            raise

    def _take(self, connection: Connection, counters: Counters) -> None:
        now = self._clock()
        oldest_pending = now - self._settings.longest_login
        for key, allowance in counters:
            if not login_attempts.reserve(connection, key, allowance, now, oldest_pending):
                locked = login_attempts.locked_until(connection, key, now)
                raise LockedOut() if locked else _Busy()

    def _sweep(self, connection: Connection) -> None:
        now = self._clock()
        oldest_pending = now - self._settings.longest_login
        login_attempts.sweep(connection, now, oldest_pending, self._settings.rows, _SWEEP_ROWS)

    def _forget_gate(self, key: CounterKey, gate: "_Gate") -> None:
        gate.users -= 1
        if gate.users == 0:
            self._gates.pop(key, None)


def _release(connection: Connection, counters: Counters) -> None:
    for key, _ in counters:
        login_attempts.release(connection, key)


@dataclass(slots=True)
class Attempt:
    """One login and the places it holds, by identity."""

    lockout: Lockout
    organization_id: str
    client_id: str
    waited: bool = False
    _held: dict[Identity, Counters] = field(default_factory=dict)
    _refused: set[Identity] = field(default_factory=set)
    _accepted: Identity | None = None
    _settled: bool = False

    async def reserve(self, identity: Identity) -> None:
        """Take the places of an identity; see `Lockout.take` for what it raises."""
        counters = self.lockout.counters(self.organization_id, identity.key, self.client_id)
        waited = await self.lockout.enter(counters)
        try:
            waited |= await self.lockout.take(counters)
        except BaseException:
            self.lockout.leave(counters)
            raise
        self._held[identity] = counters
        self.waited |= waited

    def refused(self, identity: Identity) -> None:
        """The store said no: charged unless the login succeeds elsewhere."""
        self._refused.add(identity)

    def accepted(self, identity: Identity) -> None:
        """The store said yes: this identity's failures are forgotten, nothing is charged."""
        self._accepted = identity

    def rejected(self, identity: Identity) -> None:
        """The store said yes but the user may not log in: that is a failed login."""
        self._accepted = None
        self._refused.add(identity)

    def write(self, connection: Connection, clock: Clock) -> None:
        """Charge, clear and give back, in the transaction of the caller, who then says `settled`."""
        for identity, counters in sorted(self._held.items(), key=lambda held: held[0].key):
            charged = self._accepted is None and identity in self._refused
            cleared = identity == self._accepted and not identity.may_be_several
            whose = self._whose(connection, identity) if charged else None
            for key, allowance in counters:
                if charged:
                    login_attempts.charge(connection, key, allowance, clock(), whose)
                elif cleared:
                    login_attempts.clear(connection, key)
                else:
                    login_attempts.release(connection, key)

    def _whose(self, connection: Connection, identity: Identity) -> str | None:
        if identity.subject_id is not None or not identity.store:
            return identity.subject_id
        return subjects.bearer(connection, self.organization_id, identity.store, identity.username)

    def settled(self) -> None:
        """What `write` did is committed."""
        self._settled = True

    async def finish(self) -> None:
        """Settle what is not settled and leave the gates."""
        try:
            if self._held and not self._settled:
                await self.lockout.settle(self)
        finally:
            for counters in self._held.values():
                self.lockout.leave(counters)


@dataclass(slots=True)
class _Gate:
    """Who of this worker may try for a place of one counter now."""

    places: asyncio.Semaphore
    users: int = 0
