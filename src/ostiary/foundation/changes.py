"""The wake-up call: somebody, in any process, has committed something.

SQLite is asked for `PRAGMA data_version` every 50 ms (4 µs); PostgreSQL tells by LISTEN/NOTIFY.
Subscribers are told that there was a commit, not what it was: they read what they care about.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from sqlalchemy.engine import URL

from ostiary.foundation.telemetry import get_logger

_POLL_SECONDS = 0.05
_RECONNECT_SECONDS = 1.0
_log = get_logger(__name__)


class ChangeSignal(Protocol):
    """Tells subscribers of commits by any process, this one included."""

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` in the loop after each commit, until the returned function is called."""
        ...

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait for the next commit; False when the time is over."""
        ...

    async def close(self) -> None:
        """Stop watching."""
        ...


class _Subscribers:
    """Starts watching with the first subscriber and stops with `close`."""

    def __init__(self) -> None:
        self._callbacks: dict[object, Callable[[], None]] = {}
        self._task: asyncio.Task[None] | None = None

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        key = object()
        self._callbacks[key] = callback
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch())

        def unsubscribe() -> None:
            self._callbacks.pop(key, None)

        return unsubscribe

    async def wait(self, timeout_seconds: float) -> bool:
        woken = asyncio.Event()
        unsubscribe = self.subscribe(woken.set)
        try:
            async with asyncio.timeout(timeout_seconds):
                await woken.wait()
        except TimeoutError:
            return False
        finally:
            unsubscribe()
        return True

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _tell(self) -> None:
        for callback in tuple(self._callbacks.values()):
            try:
                callback()
            except Exception:
                _log.exception("change_subscriber_failed")

    async def _watch(self) -> None:
        raise NotImplementedError


class SQLiteChanges(_Subscribers):
    """Watches one database file."""

    def __init__(self, url: URL) -> None:
        super().__init__()
        self._path = url.database or ":memory:"

    async def _watch(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            seen = _data_version(connection)
            while True:
                await asyncio.sleep(_POLL_SECONDS)
                version = _data_version(connection)
                if version != seen:
                    seen = version
                    self._tell()
        finally:
            connection.close()


class PostgreSQLChanges(_Subscribers):
    """Listens on one connection, made again when it breaks; each making counts as a change."""

    def __init__(self, url: URL) -> None:
        super().__init__()
        self._conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)

    async def _watch(self) -> None:
        import psycopg  # 0.2 s that an installation on SQLite need not wait for

        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True
                ) as connection:
                    await connection.execute("LISTEN ostiary_changes")
                    self._tell()
                    async for _ in connection.notifies():
                        self._tell()
            except (psycopg.Error, OSError) as error:
                _log.warning(
                    "change_signal_lost", reason=type(error).__name__, retry_seconds=_RECONNECT_SECONDS
                )
                await asyncio.sleep(_RECONNECT_SECONDS)


def _data_version(connection: sqlite3.Connection) -> int:
    row: tuple[int] = connection.execute("PRAGMA data_version").fetchone()
    return row[0]
