"""The agent's part of counting: a thread that reads, and reports to the control plane."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Final, TypeVar

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.haproxy import MapEntry
from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown
from ostiary.gateway.node.meter.counting import Counting
from ostiary.gateway.node.meter.reading import Lines
from ostiary.gateway.node.meter.store import CountStore
from ostiary.gateway.node.meter.windows import current_windows

_log = get_logger(__name__)
_LAST_REPORT_WITHIN: Final = 2.0
_NEW_WITHIN: Final = 1.0
_NEW_EVERY: Final = 0.02
_SILENCE: Final = 3.0
"""Seconds after which what the others counted is too old to rely on."""
_SHARE_EVERY: Final = 0.5
"""Seconds between two exchanges of counts, where there are other nodes;"""
_ASK_EVERY: Final = 1.0
"""and between two questions whether there are."""
_PART: Final = 10
"""An exchange takes one part in so many of the time, or there is one in `_LONGEST_PAUSE` seconds."""
_LONGEST_PAUSE: Final = 2.0
_MOST_KEYS: Final = 20_000
"""Shared; the largest counts where there are more."""
_T = TypeVar("_T")


class Meter:
    """Counts what HAProxy lets through and tells the control plane."""

    def __init__(
        self,
        run: Path,
        own: Path,
        control_plane: ControlPlane,
        now: Callable[[], float],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the node's file of counts; nothing is read yet.

        `now` is seconds since 1970; `ticks` measures how long something takes.
        """
        self._store = CountStore(own / "counts.db")
        lines = Lines(run / "gateway.master.sock", run / "gateway.stats.sock")
        self._counting = Counting(lines, self._store, now, ticks)
        self._control_plane = control_plane
        self._now = now
        self._ticks = ticks
        self._is_writable = True
        self._nodes = self._store.nodes()
        self._counting.has_others = self._nodes > 1
        self._is_all_shared = True
        self._told: Mapping[str, int] | None = None
        """What the control plane was told last, while it is to be told."""
        self._share_again_at = 0.0
        self._heard_at = self._ticks()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="meter")

    async def look(self, *, now: bool = False) -> list[MapEntry]:
        """Read what is due to be read; returns how HAProxy's maps have to change.

        With `now` everything is read: a worker that is new is about to be told what it cannot know. It may
        not answer yet; it is asked again, for `_NEW_WITHIN` seconds at most.
        """
        changes = await self._on_thread(partial(self._look, now=now))
        until = self._ticks() + _NEW_WITHIN
        while now and not self._counting.has_read_current and self._ticks() < until:
            await asyncio.sleep(_NEW_EVERY)
            changes += await self._on_thread(partial(self._look, now=True))
        return changes

    async def share(self) -> None:
        """Exchange counts with the other nodes, when it is time; alone, ask only whether that is still so.

        While nobody answers for a few seconds, this node takes its part of what was left.
        """
        started = self._ticks()
        if started < self._share_again_at:
            return
        try:
            await self._exchange()
        except ControlPlaneDown:
            if self._ticks() - self._heard_at > _SILENCE:
                await self._on_thread(partial(self._counting.windows.share, self._nodes))
        took = self._ticks() - started
        pause = max(_SHARE_EVERY if self._nodes > 1 else _ASK_EVERY, min(_LONGEST_PAUSE, _PART * took))
        self._share_again_at = started + pause

    async def _exchange(self) -> None:
        counts = await self._on_thread(self._counted) if self._nodes > 1 else None
        news = None if counts == self._told else counts
        self._told = None  # whoever does not answer may have heard, or not
        nodes, sums = await self._control_plane.exchange_counts(sorted(current_windows(self._now())), news)
        self._told, self._heard_at = counts, self._ticks()
        await self._on_thread(partial(self._hear, nodes, sums))

    def _counted(self) -> dict[str, int]:
        totals = self._counting.windows.totals()
        is_all = len(totals) <= _MOST_KEYS
        if not is_all and self._is_all_shared:
            _log.warning("limits_not_all_shared", keys=len(totals), shared=_MOST_KEYS)
        self._is_all_shared = is_all
        return (
            totals if is_all else dict(sorted(totals.items(), key=itemgetter(1), reverse=True)[:_MOST_KEYS])
        )

    def _hear(self, nodes: int, sums: Mapping[str, int]) -> None:
        if nodes != self._nodes:
            with suppress(sqlite3.Error):
                self._store.keep_nodes(nodes)
        self._nodes, self._counting.has_others = nodes, nodes > 1
        self._counting.windows.hear(sums, self._now())

    def others(self, name: str) -> list[tuple[str, str]]:
        """Return what a map of others has to hold."""
        return self._counting.windows.content(name)

    def _look(self, *, now: bool = False) -> list[MapEntry]:
        """What cannot be written is found again by the next look: nothing was remembered."""
        try:
            self._counting.look(now=now)
        except sqlite3.Error as error:
            if self._is_writable:
                _log.error("counts_not_written", reason=type(error).__name__, advice="is the disk full?")
            self._is_writable = False
        else:
            self._is_writable = True
        return self._counting.windows.changes()

    async def report(self) -> None:
        """Send what the control plane has not taken yet; what it does not take stays."""
        with suppress(ControlPlaneDown):
            while (report := await self._on_thread(self._store.next_report)) is not None:
                if not await self._control_plane.report_usage(report.stream, report.sequence, report.usage):
                    _log.error("usage_report_refused", sequence=report.sequence, rows=len(report.usage))
                await self._on_thread(partial(self._store.taken, report.sequence))

    async def close(self) -> None:
        """Look once more, report if somebody listens, and let go of everything."""
        try:
            async with asyncio.timeout(_LAST_REPORT_WITHIN):
                await self.look()
                await self.report()
        except Exception as error:
            _log.warning(
                "usage_not_reported", reason=type(error).__name__, advice="it is sent at the next start"
            )
        await self._on_thread(self._counting.close)
        self._thread.shutdown()

    async def _on_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
