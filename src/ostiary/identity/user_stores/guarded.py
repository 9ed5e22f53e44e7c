"""What keeps one store from harming another: a deadline, a number of places, a circuit breaker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from pydantic import SecretStr

from ostiary.identity.user_stores.breaker import BreakerState, CircuitBreaker, CircuitOpen
from ostiary.identity.user_stores.contract import (
    KnownUser,
    LoginService,
    Refused,
    StoreUnavailable,
    UserRecord,
)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """How one worker gets on with a store, now. `places`: how many logins may be there at once."""

    breaker: BreakerState
    places: int
    places_in_use: int


class GuardedUserStore:
    """One outside store: at most `concurrency` logins at once, each within `timeout`, waiting included."""

    def __init__(
        self, service: LoginService, timeout: timedelta, concurrency: int, breaker: CircuitBreaker
    ) -> None:
        self._service = service
        self._timeout = timeout.total_seconds()
        self._concurrency = concurrency
        self._places = asyncio.Semaphore(concurrency)
        self._in_use = 0
        self._breaker = breaker

    async def authenticate(self, username: str, password: SecretStr) -> UserRecord | None:
        """See `UserStore`."""
        return await self._guarded(lambda: self._service.authenticate(username, password))

    async def look_up(self, user: KnownUser) -> UserRecord | None:
        """See `LoginService`. It has one of the places, as a login has."""
        return await self._guarded(lambda: self._service.look_up(user))

    async def probe(self) -> None:
        """See `UserStore`. Asks a store that is left alone too: an administrator wants to know now."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._service.probe()
        except TimeoutError as error:
            raise StoreUnavailable("timeout") from error

    def health(self) -> StoreHealth:
        """How it is now."""
        return StoreHealth(self._breaker.state, self._concurrency, self._in_use)

    async def close(self) -> None:
        """See `UserStore`."""
        for _ in range(self._concurrency):
            await self._places.acquire()
        await self._service.close()

    async def _guarded(self, ask: Callable[[], Awaitable[Result]]) -> Result:
        end = asyncio.get_running_loop().time() + self._timeout
        try:
            async with self._place(end):
                return await self._ask(ask, end)
        except CircuitOpen as error:
            raise StoreUnavailable("circuit_open", error.retry_after) from error

    @asynccontextmanager
    async def _place(self, end: float) -> AsyncIterator[None]:
        """One of the store's places; waiting for it is part of the deadline."""
        self._breaker.check()
        try:
            async with asyncio.timeout_at(end):
                await self._places.acquire()
        except TimeoutError as error:
            raise StoreUnavailable("too_many_logins") from error
        self._in_use += 1
        try:
            yield
        finally:
            self._in_use -= 1
            self._places.release()

    async def _ask(self, ask: Callable[[], Awaitable[Result]], end: float) -> Result:
        """One question. A time-out counts against the store only if it had most of the deadline."""
        counted = end - asyncio.get_running_loop().time() > self._timeout / 2
        self._breaker.enter()
        said = self._breaker.abandoned
        try:
            async with asyncio.timeout_at(end):
                result = await ask()
            said = self._breaker.succeeded
            return result
        except Refused:
            said = self._breaker.succeeded
            raise
        except StoreUnavailable as outage:
            said = self._breaker.failed if outage.down else self._breaker.succeeded
            raise
        except TimeoutError as error:
            said = self._breaker.failed if counted else self._breaker.abandoned
            raise StoreUnavailable("timeout") from error
        finally:
            said()
