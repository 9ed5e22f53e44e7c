"""The database: units of work, each one transaction and one hop to a thread at most (ADR 0003).

`read` sees one consistent snapshot; `write` has returned only when its commit is on disk.
On SQLite all writes of a process go through one thread that commits them in groups; a file
lock around each group keeps several processes from starving each other. On PostgreSQL each
unit is its own transaction on a pooled connection.
"""

import asyncio
import os
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import BigInteger, Connection, Dialect, Engine, MetaData, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DatabaseError
from sqlalchemy.types import TypeDecorator

from ostiary.foundation.changes import ChangeSignal, PostgreSQLChanges, SQLiteChanges
from ostiary.foundation.group_commit import GroupCommit
from ostiary.foundation.memory import NOTHING, Memory
from ostiary.foundation.own_connections import OwnConnections, say

Result = TypeVar("Result")
Unit = Callable[[Connection], Result]
"""A unit of work: reads or writes through the connection, does no other I/O, lasts ≤ 50 ms."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_CHECKED_WHOLE = 64 * 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


_at_end: ContextVar[Unit[None] | None] = ContextVar("database_at_end", default=None)


@contextmanager
def ending_writes(unit: Unit[None]) -> Iterator[None]:
    """Let `unit` end each transaction that writes and is asked for inside; what it raises rolls all back."""
    token = _at_end.set(unit)
    try:
        yield
    finally:
        _at_end.reset(token)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as microseconds since 1970 in a BIGINT."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class DatabaseUnusable(Exception):
    """The database cannot be opened; the text says why and what to do."""


class Database:
    """One SQLite or PostgreSQL database, used from one asyncio process.

    `changes` wakes its subscribers within 200 ms of a commit by any process.
    """

    def __init__(self, url: URL, readers: int = 4) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="database-read")
        glances = 1 if _is_a_file(url) else 0  # the event loop's own connection
        self._read_engine = _engine(url, readers + glances, read_only=True)
        self._reading = OwnConnections(self._read_engine) if self.is_sqlite else self._read_engine
        self._write_engine = _engine(url, readers, read_only=False)
        self._group = GroupCommit(self._write_engine, _lock_path(url)) if self.is_sqlite else None
        self._writers = (
            None if self.is_sqlite else ThreadPoolExecutor(readers, thread_name_prefix="database-write")
        )
        self._memory = Memory(str(url.database)) if _is_a_file(url) else None
        self.changes: ChangeSignal = SQLiteChanges(url) if self.is_sqlite else PostgreSQLChanges(url)

    @classmethod
    def open(cls, url: str | URL, readers: int = 4) -> "Database":
        """Prepare the connections; nothing is read until the first unit.

        Raises:
            DatabaseUnusable: the URL names no driver we serve.
        """
        parsed = make_url(url)
        if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
            raise DatabaseUnusable(
                f"the database {parsed.drivername}:// is not served: use sqlite:///PATH or postgresql+psycopg://…"
            )
        return cls(parsed, readers)

    async def read(self, unit: Unit[Result]) -> Result:
        """Run `unit` in one read-only snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, unit)

    async def glance(self, unit: Unit[Result]) -> Result:
        """Run `unit`, a few look-ups by keys that take a few milliseconds at most, in one read-only snapshot.

        On a file of SQLite it runs here and now: a thread would have to be given it, and the interpreter's
        lock with each statement, which costs more than it does. Elsewhere this is `read`. Parts that many
        ask for are `remembered`.
        """
        if self._memory is None:
            return await self.read(unit)
        self._memory.version()  # before the snapshot begins: nothing older than it is kept under this number
        with self._reading.begin() as connection:
            self._memory.serve(connection)
            return unit(connection)

    async def recall(
        self, question: Hashable, unit: Unit[Result], fits: Callable[[Result], bool] = lambda _: True
    ) -> Result:
        """Return what `unit` reads; it is not read again before somebody, in any process, commits.

        `question` names everything the result depends on besides the database. The result is shared, so it
        must be immutable; one that is remembered and does not fit is read again. `unit` is one for `glance`.
        On PostgreSQL, where nothing says cheaply whether anybody committed, this is `glance`.
        """
        if self._memory is None:
            return await self.glance(unit)
        version = self._memory.version()
        known: Result = self._memory.find(question)
        if known is NOTHING or not fits(known):
            known = await self.glance(unit)
            self._memory.keep(question, known, version)
        return known

    async def write(self, unit: Unit[Result], *, brief: bool = False) -> Result:
        """Run `unit` as one transaction; its commit is on disk when this returns.

        `brief`: statements about rows named by keys, a few milliseconds at most. On SQLite they run on the
        event loop; the writer's thread takes the lock before, and commits after.

        What `unit` raises rolls back this unit alone and is raised here. When the commit itself
        fails, every unit of its group fails. `unit` runs in a copy of the caller's context.
        """
        whole: Unit[Result] = partial(copy_context().run, partial(_to_the_end, unit))
        if self._group is not None:
            loop = asyncio.get_running_loop() if brief else None
            return await asyncio.wrap_future(self._group.submit(whole, loop))
        return await asyncio.get_running_loop().run_in_executor(self._writers, self._write, whole)

    async def settle(self) -> None:
        """Leave nothing of what was deleted in SQLite's write-ahead log; without effect on PostgreSQL.

        Where somebody reads all the while, the log is written over later, as it always is.
        """
        if self.is_sqlite:
            await asyncio.to_thread(self._empty_log)

    async def close(self) -> None:
        """Finish what was submitted and let go of every connection."""
        await self.changes.close()
        if self._group is not None:
            await asyncio.to_thread(self._group.close)
        for pool in (self._readers, self._writers):
            if pool is not None:
                await asyncio.to_thread(pool.shutdown)
        if self._memory is not None:
            self._memory.close()
        if isinstance(self._reading, OwnConnections):
            self._reading.close()
        self._read_engine.dispose()
        self._write_engine.dispose()

    def _empty_log(self) -> None:
        engine = _engine(self.url, 1, read_only=False)
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
        engine.dispose()

    def _read(self, unit: Unit[Result]) -> Result:
        with self._reading.begin() as connection:
            return unit(connection)

    def _write(self, unit: Unit[Result]) -> Result:
        with self._write_engine.begin() as connection:
            result = unit(connection)
            connection.exec_driver_sql("SELECT pg_notify('ostiary_changes', '')")
            return result


def _to_the_end(unit: Unit[Result], connection: Connection) -> Result:
    result = unit(connection)
    if (last := _at_end.get()) is not None:
        last(connection)
    return result


def write_engine(url: str | URL) -> Engine:
    """A plain engine for migrations and tools, with the settings the product writes with."""
    return _engine(make_url(url), 1, read_only=False)


def reading_engine(url: str | URL) -> Engine:
    """A plain engine for tools that look and change nothing: each transaction is one snapshot."""
    return _engine(make_url(url), 1, read_only=True)


def check_usable(url: str | URL) -> None:
    """Open the database once; an SQLite file is from then on readable by this user alone.

    Raises:
        DatabaseUnusable: it is damaged or out of reach; says what to do.
    """
    parsed = make_url(url)
    _keep_private(parsed)
    engine = _engine(parsed, 1, read_only=False)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
            if parsed.get_backend_name() == "sqlite":
                _check_pages(connection, parsed)
    except DatabaseError as error:
        raise DatabaseUnusable(_unusable(parsed, error)) from error
    finally:
        engine.dispose()


def _check_pages(connection: Connection, url: URL) -> None:
    """Look at every page of a small file, at the schema alone of a large one: a start takes seconds."""
    connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    if pages * size <= _CHECKED_WHOLE:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if found != "ok":
            raise DatabaseUnusable(_damaged(url, str(found)))


def _keep_private(url: URL) -> None:
    """Hashes and sealed secrets are in it, and the directory may be anybody's to read. SQLite gives the files
    it makes beside the database the mode of the database. What cannot be done here, opening it will say."""
    if not _is_a_file(url):
        return
    with suppress(OSError):
        os.close(os.open(str(url.database), os.O_RDWR | os.O_CREAT, 0o600))
    for suffix in ("", "-wal", "-shm"):
        with suppress(OSError):
            Path(f"{url.database}{suffix}").chmod(0o600)


def _unusable(url: URL, error: DatabaseError) -> str:
    reason = str(error.orig).strip().splitlines()[0]
    if url.get_backend_name() == "sqlite" and ("malformed" in reason or "not a database" in reason):
        return _damaged(url, reason)
    return f"the database {url.render_as_string(hide_password=True)} cannot be opened: {reason}"


def _damaged(url: URL, reason: str) -> str:
    return f"the database {url.database} is damaged ({reason}): move it away and restore your last backup"


def _lock_path(url: URL) -> Path | None:
    return Path(f"{url.database}.write-lock") if _is_a_file(url) else None


def _is_a_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")


def _engine(url: URL, size: int, *, read_only: bool) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, size, read_only=read_only)
    engine = create_engine(url, pool_size=size, max_overflow=0, pool_pre_ping=True)
    if read_only:
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine.execution_options(isolation_level="READ COMMITTED")


def _sqlite_engine(url: URL, size: int, *, read_only: bool) -> Engine:
    engine = create_engine(
        url, pool_size=size, max_overflow=0, connect_args={"timeout": 30, "check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # we say BEGIN ourselves
        pragmas = ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"]
        pragmas.append("secure_delete=ON")  # what is deleted is not in the file any more
        for pragma in [*pragmas, *(["query_only=ON"] if read_only else [])]:
            connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        say(connection, begin)

    return engine
