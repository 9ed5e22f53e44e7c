"""The agent's part of counting: a thread that reads, and reports to the control plane."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown
from ostiary.gateway.node.meter.counting import Counting
from ostiary.gateway.node.meter.reading import Lines
from ostiary.gateway.node.meter.store import CountStore

_log = get_logger(__name__)
_LAST_REPORT_WITHIN: Final = 2.0
_T = TypeVar("_T")


class Meter:
    """Counts what HAProxy lets through and tells the control plane."""

    def __init__(self, run: Path, own: Path, control_plane: ControlPlane, now: Callable[[], float]) -> None:
        """Open the node's file of counts; nothing is read yet."""
        self._store = CountStore(own / "counts.db")
        lines = Lines(run / "gateway.master.sock", run / "gateway.stats.sock")
        self._counting = Counting(lines, self._store, now, time.monotonic)
        self._control_plane = control_plane
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="meter")

    async def look(self) -> None:
        """Read what is due to be read."""
        await self._on_thread(self._counting.look)

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
