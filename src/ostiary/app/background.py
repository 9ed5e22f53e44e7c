"""What a worker does beside answering: numbering events, moving keys on, sweeping what expired.

Every worker does all of it. Each job is idempotent and safe to run in several places at once, so
there is no leader to lose.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from ostiary.foundation.database import Database
from ostiary.foundation.events import has_unnumbered, number_events
from ostiary.foundation.telemetry import get_logger

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do now and then."""

    name: str
    every: timedelta
    work: Callable[[], Awaitable[object]]


class Background:
    """Runs the jobs of one worker until it stops; a job that fails is tried again at its next turn."""

    def __init__(self, database: Database, jobs: tuple[Job, ...]) -> None:
        self._database = database
        self._jobs = jobs
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start in the running loop."""
        self._tasks = [asyncio.create_task(self._number())]
        self._tasks += [asyncio.create_task(_repeat(job)) for job in self._jobs]

    async def stop(self) -> None:
        """Stop every job and wait for it."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _number(self) -> None:
        """Give committed events their number as soon as a commit is noticed."""
        changed = asyncio.Event()
        self._database.changes.subscribe(changed.set)
        while True:
            try:
                if await self._database.read(has_unnumbered):
                    await self._database.write(number_events)
                async with asyncio.timeout(5):
                    await changed.wait()
            except TimeoutError:
                pass
            except Exception:
                _log.exception("numbering_failed")
                await asyncio.sleep(0.5)
            changed.clear()


async def _repeat(job: Job) -> None:
    while True:
        try:
            await job.work()
        except Exception:
            _log.exception("background_job_failed", job=job.name)
        await asyncio.sleep(job.every.total_seconds())
