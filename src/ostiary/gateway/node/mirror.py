"""Keeps the maps of every live HAProxy worker equal to what the agent holds to be true.

Changes are queued in the order they happen and made in that order. A worker that is new to this agent (a
start, a reload, or the agent itself started again) gets every map replaced, then the plan's number: until
then it holds calls back. Decisions come after that where it has none, since one that is missing costs a
question and no more. When anything goes wrong with a worker it counts as new.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.haproxy import PLAN_KEY, PLAN_MAP, MapEntry, map_files
from ostiary.gateway.node.runtime import RuntimeRefused, RuntimeUnavailable, Worker

_log = get_logger(__name__)
LOOK_EVERY: Final = 0.25
LOOK_WITHOUT_WORKERS_EVERY: Final = 0.05
_BATCH: Final = 500
_MAPS_AT_ONCE: Final = 64
_ENTRIES_AT_ONCE: Final = 1_000
"""About 1.5 MB of decisions, some 50 ms; other changes wait so long."""


class Runtime(Protocol):
    """HAProxy as the mirror sees it."""

    async def workers(self) -> list[Worker]: ...

    async def apply(self, changes: Sequence[MapEntry], *, pid: int | None = None) -> None: ...

    async def replace(
        self, maps: Mapping[str, Sequence[tuple[str, str]]], *, pid: int | None = None
    ) -> None: ...

    async def sizes(self, pid: int) -> Mapping[str, int]: ...


class Mirror:
    """Brings queued changes and the whole truth to HAProxy."""

    def __init__(
        self,
        runtime: Runtime,
        truth: Callable[[str], Iterable[tuple[str, str]]],
        number: Callable[[], int],
        before_supply: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`truth` gives the present content of a map, `number` the plan's number.

        `before_supply` is awaited before a new worker is given everything.
        """
        self._before_supply = before_supply
        self._runtime = runtime
        self._truth = truth
        self._number = number
        self._queue: deque[MapEntry] = deque()
        self._woken = asyncio.Event()
        self._complete: frozenset[int] = frozenset()
        self._supplying: int | None = None
        self._unfilled: dict[int, list[str]] = {}
        self._look_now = False

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

    def look_soon(self) -> None:
        """Say that there may be new workers: they serve nothing before they are supplied."""
        self._look_now = True
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        next_look = loop.time()
        while True:
            await self._drain()
            if self._look_now or loop.time() >= next_look:
                self._look_now = False
                pause = LOOK_EVERY if await self._look() else LOOK_WITHOUT_WORKERS_EVERY
                next_look = loop.time() + pause
            await self._fill()
            self._woken.clear()
            if not self._queue and not self._unfilled and not self._look_now:
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

    async def _look(self) -> bool:
        """Find workers that are new and give them everything; says whether there is one to serve.

        While HAProxy loads another configuration nobody answers, but its workers go on: they missed nothing.
        """
        try:
            live = frozenset(worker.pid for worker in await self._runtime.workers())
        except RuntimeUnavailable:
            return False
        self._complete &= live
        self._unfilled = {pid: names for pid, names in self._unfilled.items() if pid in live}
        for pid in sorted(live - self._complete):
            self._supplying = pid
            try:
                await self._supply(pid)
            except (RuntimeUnavailable, RuntimeRefused) as error:
                self._give_up(pid, error)
            finally:
                self._supplying = None
        return bool(self._complete)

    async def _supply(self, pid: int) -> None:
        """Replace every map of a worker; calls wait meanwhile, also where another agent had supplied it."""
        await self._runtime.apply([MapEntry(PLAN_MAP, PLAN_KEY, None)], pid=pid)
        if self._before_supply is not None:
            await self._prepare(self._before_supply)
        sizes = await self._runtime.sizes(pid)
        waiting = [
            name for name in map_files() if name != PLAN_MAP and (sizes.get(name) or not _can_wait(name))
        ]
        later = [name for name in map_files() if _can_wait(name) and not sizes.get(name)]
        while waiting and self._supplying == pid:
            await self._replace(pid, waiting, sizes)
            await self._drain()
        if self._supplying != pid:
            return  # a change did not reach it: once more, from the beginning
        await self._runtime.apply([MapEntry(PLAN_MAP, PLAN_KEY, str(self._number()))], pid=pid)
        self._complete |= {pid}
        self._unfilled[pid] = later
        _log.info("haproxy_worker_supplied", pid=pid, plan=self._number())

    async def _prepare(self, work: Callable[[], Awaitable[None]]) -> None:
        """Nothing that goes wrong with it may keep a worker from serving."""
        try:
            await work()
        except Exception:
            _log.exception("worker_not_prepared")

    async def _replace(self, pid: int, waiting: list[str], sizes: Mapping[str, int]) -> None:
        """Replace the next maps of those that wait; one that is empty here and there is left alone."""
        maps: dict[str, Sequence[tuple[str, str]]] = {}
        entries = 0
        while waiting and len(maps) < _MAPS_AT_ONCE and entries < _ENTRIES_AT_ONCE:
            name = waiting.pop(0)
            content = list(self._truth(name))
            if content or sizes.get(name):
                maps[name] = content
                entries += len(content)
        if maps:
            await self._runtime.replace(maps, pid=pid)

    async def _fill(self) -> None:
        """Give a worker that serves already some of the decisions it lacks."""
        for pid, waiting in tuple(self._unfilled.items()):
            try:
                await self._replace(pid, waiting, {})
            except (RuntimeUnavailable, RuntimeRefused) as error:
                self._give_up(pid, error)
            if not waiting:
                self._unfilled.pop(pid, None)

    def _give_up(self, pid: int, error: Exception) -> None:
        """Count a worker as new: it missed something."""
        _log.warning("haproxy_worker_missed_changes", pid=pid, reason=str(error))
        self._complete -= {pid}
        self._unfilled.pop(pid, None)
        if self._supplying == pid:
            self._supplying = None


def _can_wait(name: str) -> bool:
    return name.startswith("decisions-")
