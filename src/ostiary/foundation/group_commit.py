"""One writer thread for SQLite that commits units of work in groups (ADR 0003).

Units that arrive while a commit waits for the disk share the next one, so `synchronous=FULL`
costs one fsync a group, not one a unit. Each unit has a savepoint of its own.
"""

import fcntl
import os
import queue
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from ostiary.foundation.own_connections import OwnConnections, say

Result = TypeVar("Result")
_Outcome = Callable[[], None]
_LARGEST_GROUP = 128
_LARGEST_TURN = 16
"""Units that run in one turn of the event loop."""
_LOOK_AGAIN = 1.0
"""Seconds until the thread looks whether the loop it waits for is still there."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What to do, whom to tell, and on which event loop it runs; None is the writer's thread."""

    unit: Callable[[Connection], Any]
    future: "Future[Any]"
    loop: AbstractEventLoop | None


class GroupCommit:
    """Runs submitted units in order, several to a transaction."""

    def __init__(self, engine: Engine, lock_path: Path | None) -> None:
        self._connections = OwnConnections(engine)
        self._lock_path = lock_path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="database-write", daemon=True)
        self._closed = False
        self._thread.start()

    def submit(
        self, unit: Callable[[Connection], Result], loop: AbstractEventLoop | None = None
    ) -> "Future[Result]":
        """Queue `unit`, for `loop` or the thread. The future is done when its group is on disk."""
        if self._closed:
            raise RuntimeError("the database is closed")
        future: Future[Result] = Future()
        self._jobs.put(_Job(unit, future, loop))
        return future

    def close(self) -> None:
        """Finish what is queued, then stop the thread."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        self._connections.close()

    def _run(self) -> None:
        while True:
            group = self._next_group()
            jobs = [job for job in group if job is not None and job.future.set_running_or_notify_cancel()]
            if jobs:
                self._commit(jobs)
            if group[-1] is None:
                return

    def _next_group(self) -> list[_Job | None]:
        group = [self._jobs.get()]
        while len(group) < _LARGEST_GROUP and group[-1] is not None:
            try:
                group.append(self._jobs.get_nowait())
            except queue.Empty:
                break
        return group

    def _commit(self, jobs: list[_Job]) -> None:
        settle: list[_Outcome] = []
        try:
            with self._file_lock(), self._connections.begin() as connection:
                for loop, some in _turns(jobs):
                    work = partial(_alone if len(jobs) == 1 else _together, connection, some)
                    settle += work() if loop is None else _on_the_loop(loop, work)
        except BaseException as error:
            settle = [_failure(job.future, error) for job in jobs]
        for outcome in settle:
            outcome()

    @contextmanager
    def _file_lock(self) -> Iterator[None]:
        if self._lock_path is None:
            yield
            return
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _turns(jobs: Sequence[_Job]) -> Iterator[tuple[AbstractEventLoop | None, list[_Job]]]:
    """Cut a group into what follows one another at one place. On a loop it is little at once: others wait."""
    for loop, some in groupby(jobs, lambda job: job.loop):
        left = list(some)
        at_once = len(left) if loop is None else _LARGEST_TURN
        for start in range(0, len(left), at_once):
            yield loop, left[start : start + at_once]


def _alone(connection: Connection, jobs: Sequence[_Job]) -> list[_Outcome]:
    """Run the only unit of a group: its savepoint would be the transaction."""
    (job,) = jobs
    return [_success(job.future, job.unit(connection))]


def _together(connection: Connection, jobs: Sequence[_Job]) -> list[_Outcome]:
    return [_attempt(connection, job) for job in jobs]


def _attempt(connection: Connection, job: _Job) -> _Outcome:
    """Run one unit of several: what it raises takes back what it did, and nothing else."""
    say(connection, "SAVEPOINT unit")
    try:
        result = job.unit(connection)
    except Exception as error:
        if connection.invalidated or not connection.in_transaction():
            raise
        say(connection, "ROLLBACK TO unit")
        say(connection, "RELEASE unit")
        return _failure(job.future, error)
    say(connection, "RELEASE unit")
    return _success(job.future, result)


def _on_the_loop(loop: AbstractEventLoop, work: Callable[[], Result]) -> Result:
    """Do work there, and wait for it.

    The driver lets go of the interpreter's lock with each statement. Here it would be waited for each time.

    Raises:
        RuntimeError: the loop has ended; nothing was done.
    """
    done: Future[Result] = Future()

    def run() -> None:
        if not done.set_running_or_notify_cancel():
            return  # given up
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    loop.call_soon_threadsafe(run)
    while not wait([done], _LOOK_AGAIN).done:
        if loop.is_closed() and done.cancel():
            raise RuntimeError("the event loop has ended")
    return done.result()


def _success(future: "Future[Any]", result: Any) -> _Outcome:
    return lambda: future.set_result(result)


def _failure(future: "Future[Any]", error: BaseException) -> _Outcome:
    return lambda: future.set_exception(error)
