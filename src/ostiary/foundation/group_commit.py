"""One writer thread for SQLite that commits units of work in groups (ADR 0003).

Units that arrive while a commit waits for the disk share the next one, so `synchronous=FULL`
costs one fsync a group, not one a unit. Each unit has a savepoint of its own.
"""

import fcntl
import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from ostiary.foundation.own_connections import OwnConnections, say

Result = TypeVar("Result")
_Job = tuple[Callable[[Connection], Any], "Future[Any]"]
_LARGEST_GROUP = 128


class GroupCommit:
    """Runs submitted units in order, several to a transaction."""

    def __init__(self, engine: Engine, lock_path: Path | None) -> None:
        self._connections = OwnConnections(engine)
        self._lock_path = lock_path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="database-write", daemon=True)
        self._closed = False
        self._thread.start()

    def submit(self, unit: Callable[[Connection], Result]) -> "Future[Result]":
        """Queue `unit`; the future is done when its group is on disk."""
        if self._closed:
            raise RuntimeError("the database is closed")
        future: Future[Result] = Future()
        self._jobs.put((unit, future))
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
            jobs = [job for job in group if job is not None and job[1].set_running_or_notify_cancel()]
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
        settle: list[Callable[[], None]] = []
        try:
            with self._file_lock(), self._connections.begin() as connection:
                if len(jobs) == 1:  # its savepoint would be the transaction
                    ((unit, future),) = jobs
                    settle.append(_success(future, unit(connection)))
                else:
                    settle += [_attempt(connection, unit, future) for unit, future in jobs]
        except BaseException as error:
            settle = [_failure(future, error) for _, future in jobs]
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


def _attempt(
    connection: Connection, unit: Callable[[Connection], Any], future: "Future[Any]"
) -> Callable[[], None]:
    """Run one unit of several: what it raises takes back what it did, and nothing else."""
    say(connection, "SAVEPOINT unit")
    try:
        result = unit(connection)
    except Exception as error:
        if connection.invalidated or not connection.in_transaction():
            raise
        say(connection, "ROLLBACK TO unit")
        say(connection, "RELEASE unit")
        return _failure(future, error)
    say(connection, "RELEASE unit")
    return _success(future, result)


def _success(future: "Future[Any]", result: Any) -> Callable[[], None]:
    return lambda: future.set_result(result)


def _failure(future: "Future[Any]", error: BaseException) -> Callable[[], None]:
    return lambda: future.set_exception(error)
