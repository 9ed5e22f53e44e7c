"""`node.db`: the last plan on disk, so that a node starts and decides while the control plane is down.

SQLite, 0600, one transaction a change. It is a copy: when it is damaged it is thrown away and the complete
plan is asked for again. When it merely cannot be written (a full disk), what was last written stays and is
still good: `number` says how far it goes. A power loss may cost the last changes, which are asked for again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import orjson

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.plan import SCHEMA_VERSION, BadPlan, Entry, GatewayPlan, PlanAnswer

_log = get_logger(__name__)
_ENTRIES: Final = """
CREATE TABLE IF NOT EXISTS {table} (
  kind TEXT, id TEXT, value TEXT NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
"""
_SCHEMA: Final = f"""
{_ENTRIES.format(table="entries")}
{_ENTRIES.format(table="incoming")}
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


_WRITE: Final = {
    table: (
        f"DELETE FROM {table} WHERE kind = ? AND id = ?",  # noqa: S608 (names of ours)
        f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)",  # noqa: S608
    )
    for table in ("entries", "incoming")
}
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class StoreUnwritable(Exception):
    """A change could not be written; the store is as it was, and says by `number` how far it goes."""


class NodeStore:
    """The plan in a file. Blocking: a change takes about a millisecond."""

    def __init__(self, path: Path) -> None:
        """Open the file, making it (0600) where there is none and again where it is damaged."""
        self._path = path
        self._contacted_at = 0.0
        self._can_write = True
        self._is_staged = False  # whether all of the plan that is being copied is written aside
        self.number = 0
        """Of the plan in the file."""
        try:
            self._connection = self._open()
        except (sqlite3.DatabaseError, OSError) as error:
            self._connection = self._start_over(error) if _is_damage(error) else self._only_read(error)

    def load(self) -> GatewayPlan:
        """Return the last plan; an empty one (number 0) when there is none that can be read."""
        try:
            meta = dict(self._connection.execute("SELECT name, value FROM meta"))
            if meta.get("schema_version") != SCHEMA_VERSION:
                return GatewayPlan()
            self._contacted_at = float(meta.get("contacted_at", 0))
            made = GatewayPlan().change()
            for kind, id, value in self._connection.execute("SELECT kind, id, value FROM entries"):
                made.add(Entry(kind, id, orjson.loads(value)))
            plan = made.finish(meta["number"])
            self.number = plan.number
            return plan
        except (sqlite3.DatabaseError, ValueError, KeyError, BadPlan) as error:
            self._connection.close()
            self._connection = self._start_over(error)
            return GatewayPlan()

    def contacted_at(self) -> float:
        """Return when (seconds since 1970) a control plane was last noted to have answered; 0 if never."""
        return self._contacted_at

    def note_contact(self, now: float) -> None:
        """Write when a control plane answered.

        Raises:
            StoreUnwritable: it could not be written.
        """
        with self._writing() as transaction:
            transaction.execute("INSERT OR REPLACE INTO meta VALUES ('contacted_at', ?)", (int(now),))
        self._contacted_at = now

    def apply(self, answer: PlanAnswer, now: float) -> None:
        """Write a change in one transaction.

        Raises:
            StoreUnwritable: nothing of it was written.
        """
        with self._writing() as transaction:
            _put(transaction, "entries", answer.entries)
            _note(transaction, answer.number, now)
        self._contacted_at, self.number = now, answer.number

    def stage(self, entries: Sequence[Entry], *, first: bool) -> None:
        """Write entries of a plan that is being copied, aside; `first` forgets an earlier attempt.

        Raises:
            StoreUnwritable: nothing of them was written, or of some before: only `first` can be next.
        """
        self._expect(first or self._is_staged)
        self._is_staged = False
        with self._writing() as transaction:
            if first:
                _empty(transaction, "incoming")
            _put(transaction, "incoming", entries)
        self._is_staged = True

    def adopt(self, number: int, now: float) -> None:
        """Let what was written aside be the plan, in one step.

        Raises:
            StoreUnwritable: the plan before is still there, or what was written aside is not all of the copy.
        """
        self._expect(self._is_staged)
        self._is_staged = False
        with self._writing() as transaction:
            transaction.execute("DROP TABLE entries")
            transaction.execute("ALTER TABLE incoming RENAME TO entries")
            _empty(transaction, "incoming")
            _note(transaction, number, now)
        self._contacted_at, self.number = now, number

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @staticmethod
    def _expect(is_staged: bool) -> None:
        if not is_staged:
            raise StoreUnwritable("some of the plan that was copied could not be written, or is lost")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Make one transaction. A damaged file is made anew, empty; the caller asks for everything again."""
        try:
            if not self._can_write:
                self._connection.close()
                self._connection, self._can_write = self._open(), True
            with self._connection as transaction:
                transaction.execute("BEGIN IMMEDIATE")
                yield transaction
        except (sqlite3.DatabaseError, OSError) as error:
            if _is_damage(error):
                self._connection.close()
                self._connection = self._start_over(error)
            raise StoreUnwritable(str(error)) from error

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.executescript(_SCHEMA)
            with closing(connection.execute("PRAGMA quick_check(1)")) as check:
                if check.fetchone() != ("ok",):
                    raise sqlite3.DatabaseError("quick_check failed")
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    def _start_over(self, error: Exception) -> sqlite3.Connection:
        _log.warning("node_store_started_over", path=str(self._path), reason=type(error).__name__)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        self.number, self._is_staged = 0, False
        try:
            return self._open()
        except (sqlite3.DatabaseError, OSError) as again:
            return self._only_read(again)

    def _only_read(self, error: Exception) -> sqlite3.Connection:
        """Serve by what was last written, while nothing can be written."""
        _log.error("node_store_not_writable", path=str(self._path), reason=str(error))
        self._can_write = False
        source = f"file:{quote(str(self._path))}?mode=ro&immutable=1"
        try:
            connection = sqlite3.connect(source, uri=True, isolation_level=None, check_same_thread=False)
            connection.execute("SELECT count(*) FROM meta")
        except sqlite3.DatabaseError:
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            connection.executescript(_SCHEMA)
        return connection


def _put(transaction: sqlite3.Connection, table: str, entries: Sequence[Entry]) -> None:
    gone = [(one.kind, one.id) for one in entries if one.value is None]
    there = [(one.kind, one.id, orjson.dumps(one.value).decode()) for one in entries if one.value is not None]
    delete, put = _WRITE[table]
    transaction.executemany(delete, gone)
    transaction.executemany(put, there)


def _note(transaction: sqlite3.Connection, number: int, now: float) -> None:
    meta = [("number", number), ("schema_version", SCHEMA_VERSION), ("contacted_at", int(now))]
    transaction.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta)


def _empty(transaction: sqlite3.Connection, table: str) -> None:
    transaction.execute(f"DROP TABLE IF EXISTS {table}")
    transaction.execute(_ENTRIES.format(table=table))


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.DatabaseError) and (code is None or code & 0xFF in _DAMAGED)
