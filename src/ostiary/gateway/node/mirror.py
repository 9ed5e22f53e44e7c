"""Keeps the maps of every live HAProxy worker equal to what the agent holds to be true.

Changes are queued in the order they happen and made in that order. A worker that is new to this agent (a
start, a reload, or the agent itself started again) gets every map replaced, the plan's number last: until
then it holds calls back. When anything goes wrong with a worker it counts as new.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.haproxy import PLAN_KEY, PLAN_MAP, MapEntry, map_files
from ostiary.gateway.node.runtime import RuntimeRefused, RuntimeUnavailable, Worker

_log = get_logger(__name__)
LOOK_EVERY: Final = 0.25
LOOK_WITHOUT_WORKERS_EVERY: Final = 0.05
_BATCH: Final = 500


class Runtime(Protocol):
    """HAProxy as the mirror sees it."""

    async def workers(self) -> list[Worker]: ...

    async def apply(self, changes: Sequence[MapEntry], *, pid: int | None = None) -> None: ...

    async def replace(
        self, map: str, entries: Iterable[tuple[str, str]], *, pid: int | None = None
    ) -> None: ...


class Mirror:
    """Brings queued changes and the whole truth to HAProxy."""

    def __init__(
        self,
        runtime: Runtime,
        truth: Callable[[str], Iterable[tuple[str, str]]],
        number: Callable[[], int],
    ) -> None:
        """`truth` gives the present content of a map, `number` the plan's number."""
        self._runtime = runtime
        self._truth = truth
        self._number = number
        self._queue: deque[MapEntry] = deque()
        self._woken = asyncio.Event()
        self._complete: frozenset[int] = frozenset()
        self._supplying: int | None = None

    @property
    def live_workers(self) -> int:
        """How many workers have everything."""
        return len(self._complete)

    @property
    def waiting(self) -> int:
        """How many changes are still to be made."""
        return len(self._queue)

    def enqueue(self, changes: Iterable[MapEntry]) -> None:
        """Have these changes made, after all earlier ones."""
        self._queue.extend(changes)
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        next_look = loop.time()
        while True:
            await self._drain()
            if loop.time() >= next_look:
                await self._look()
                next_look = loop.time() + (LOOK_EVERY if self._complete else LOOK_WITHOUT_WORKERS_EVERY)
            self._woken.clear()
            if not self._queue:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(next_look):
                        await self._woken.wait()

    async def _drain(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            for pid in sorted(self._complete):
                await self._make(pid, batch)
            if self._supplying is not None:
                await self._make(self._supplying, [change for change in batch if change.map != PLAN_MAP])

    async def _make(self, pid: int, batch: list[MapEntry]) -> None:
        try:
            await self._runtime.apply(batch, pid=pid)
        except RuntimeUnavailable as error:
            self._give_up(pid, error)
        except RuntimeRefused:
            await self._one_by_one(pid, batch)

    async def _one_by_one(self, pid: int, batch: list[MapEntry]) -> None:
        """One change that HAProxy refuses holds up no other."""
        for change in batch:
            try:
                await self._runtime.apply([change], pid=pid)
            except RuntimeRefused as error:
                _log.error("map_change_refused", map=change.map, reason=str(error))
            except RuntimeUnavailable as error:
                self._give_up(pid, error)
                return

    async def _look(self) -> None:
        """Find workers that are new and give them everything."""
        try:
            live = frozenset(worker.pid for worker in await self._runtime.workers())
        except RuntimeUnavailable:
            self._complete = frozenset()
            return
        self._complete &= live
        for pid in sorted(live - self._complete):
            self._supplying = pid
            try:
                await self._supply(pid)
            except (RuntimeUnavailable, RuntimeRefused) as error:
                self._give_up(pid, error)
            finally:
                self._supplying = None

    async def _supply(self, pid: int) -> None:
        """Replace every map of a worker; calls wait meanwhile, also where another agent had supplied it."""
        await self._runtime.apply([MapEntry(PLAN_MAP, PLAN_KEY, None)], pid=pid)
        for name in map_files():
            if name != PLAN_MAP:
                await self._runtime.replace(name, list(self._truth(name)), pid=pid)
                await self._drain()
        if self._supplying != pid:
            return  # a change did not reach it: once more, from the beginning
        await self._runtime.apply([MapEntry(PLAN_MAP, PLAN_KEY, str(self._number()))], pid=pid)
        self._complete |= {pid}
        _log.info("haproxy_worker_supplied", pid=pid, plan=self._number())

    def _give_up(self, pid: int, error: Exception) -> None:
        """Count a worker as new: it missed something."""
        _log.warning("haproxy_worker_missed_changes", pid=pid, reason=str(error))
        self._complete -= {pid}
        if self._supplying == pid:
            self._supplying = None
