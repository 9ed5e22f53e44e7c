"""Work that comes round again and again; one turn that fails costs no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ostiary.foundation.telemetry import get_logger

_log = get_logger(__name__)


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do some work every so many seconds until cancelled."""
    while True:
        try:
            await work()
        except Exception:
            _log.exception("agent_task_failed", task=getattr(work, "__name__", "task"))
        await asyncio.sleep(seconds)
