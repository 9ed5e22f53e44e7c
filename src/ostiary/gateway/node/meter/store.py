"""`counts.db`: what was counted on this node and is not yet known elsewhere.

SQLite, 0600, one transaction a look. Not a copy of anything, unlike `node.db`: what is lost here was never
counted. A report is written before it is sent and sent until it is answered, under a number, so that the
control plane counts it once. A file that cannot be read is put aside, and counting begins again.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ostiary.foundation.identifiers import new_id
from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.node.meter.ledger import Count, Reading
from ostiary.gateway.node.meter.windows import Kept

_log = get_logger(__name__)
_ROWS_IN_A_REPORT: Final = 1_000
_MOST_UNSENT: Final = 500_000
"""Rows; beyond, hours that have passed are put together into one, so no call is lost."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS seen (
  worker TEXT, key TEXT, calls INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (worker, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unsent (
  hour INTEGER, key TEXT, calls INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (hour, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS windows (
  key TEXT PRIMARY KEY, own INTEGER NOT NULL, missing INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS report (sequence INTEGER PRIMARY KEY, usage TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_ADD: Final = """
INSERT INTO unsent VALUES (?, ?, ?, ?) ON CONFLICT (hour, key)
DO UPDATE SET calls = calls + excluded.calls, bytes = bytes + excluded.bytes
"""
_FOLD: Final = """
INSERT INTO unsent SELECT :hour, key, sum(calls), sum(bytes) FROM unsent WHERE hour < :hour GROUP BY key
ON CONFLICT (hour, key) DO UPDATE SET calls = calls + excluded.calls, bytes = bytes + excluded.bytes
"""


@dataclass(frozen=True, slots=True)
class Report:
    """Usage on its way to the control plane; the same number always has the same content."""

    stream: str
    """Names the row of numbers: a new one begins with a new file."""
    sequence: int
    usage: list[dict[str, Any]]


class CountStore:
    """The file. Blocking: a look takes about a millisecond."""

    def __init__(self, path: Path) -> None:
        """Open the file, making it (0600) where there is none and again where it is damaged."""
        self._path = path
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError as error:
            self._connection = self._start_over(error)

    def seen(self) -> dict[str, dict[str, Count]]:
        """Return what was seen last, by worker and key."""
        found: dict[str, dict[str, Count]] = {}
        for worker, key, calls, size in self._connection.execute("SELECT * FROM seen"):
            found.setdefault(worker, {})[key] = Count(calls, size)
        return found

    def note(self, readings: Iterable[Reading], ended: Iterable[str], hour: int) -> None:
        """Write what was seen and what it gained in `hour` (since 1970), all or nothing."""
        with self._connection as transaction:
            transaction.execute("BEGIN IMMEDIATE")
            for reading in readings:
                self._note(transaction, reading, hour)
            transaction.executemany("DELETE FROM seen WHERE worker = ?", [(one,) for one in ended])

    def kept(self) -> Kept:
        """Return what was kept of the current windows."""
        rows = self._connection.execute("SELECT key, own, missing FROM windows")
        return Kept(self._meta.get("worker", ""), {key: (own, missing) for key, own, missing in rows})

    def keep(self, before: Kept, after: Kept) -> None:
        """Write the difference between what was kept and what is to be."""
        changed = [(key, *counts) for key, counts in after.counts.items() if before.counts.get(key) != counts]
        gone = [(key,) for key in before.counts if key not in after.counts]
        if not changed and not gone and before.worker == after.worker:
            return
        with self._connection as transaction:
            transaction.execute("BEGIN IMMEDIATE")
            transaction.executemany("INSERT OR REPLACE INTO windows VALUES (?, ?, ?)", changed)
            transaction.executemany("DELETE FROM windows WHERE key = ?", gone)
            transaction.execute("INSERT OR REPLACE INTO meta VALUES ('worker', ?)", (after.worker,))

    def nodes(self) -> int:
        """Return how many gateway nodes there were when that was last known."""
        return int(self._meta.get("nodes", "1"))

    def keep_nodes(self, nodes: int) -> None:
        """Write how many gateway nodes there are, for a start while nobody says so."""
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('nodes', ?)", (str(nodes),))

    def next_report(self) -> Report | None:
        """Return the report to send now, the same one until it was taken; `None` when all was."""
        with self._connection as transaction:
            transaction.execute("BEGIN IMMEDIATE")
            found = transaction.execute("SELECT sequence, usage FROM report ORDER BY sequence LIMIT 1")
            waiting = found.fetchone() or self._draw_up(transaction)
        return None if waiting is None else Report(self._meta["stream"], waiting[0], json.loads(waiting[1]))

    def taken(self, sequence: int) -> None:
        """Forget a report that the control plane has."""
        self._connection.execute("DELETE FROM report WHERE sequence = ?", (sequence,))

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _note(self, transaction: sqlite3.Connection, reading: Reading, hour: int) -> None:
        name = reading.worker
        changed = [(name, key, *count) for key, count in reading.changed.items()]
        transaction.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", changed)
        gone = [(name, key) for key in reading.gone]
        transaction.executemany("DELETE FROM seen WHERE worker = ? AND key = ?", gone)
        transaction.executemany(_ADD, [(hour, key, *count) for key, count in reading.gained.items()])
        if gone or len(changed) > _ROWS_IN_A_REPORT:
            (rows,) = transaction.execute("SELECT count(*) FROM unsent").fetchone()
            if rows > _MOST_UNSENT:
                transaction.execute(_FOLD, {"hour": hour})
                transaction.execute("DELETE FROM unsent WHERE hour < ?", (hour,))

    def _draw_up(self, transaction: sqlite3.Connection) -> tuple[int, str] | None:
        rows = transaction.execute(
            "SELECT * FROM unsent ORDER BY hour, key LIMIT ?", (_ROWS_IN_A_REPORT,)
        ).fetchall()
        if not rows:
            return None
        sequence = int(self._meta["sequence"]) + 1
        text = json.dumps([_as_wire(*row) for row in rows])
        transaction.executemany("DELETE FROM unsent WHERE hour = ? AND key = ?", [row[:2] for row in rows])
        transaction.execute("INSERT INTO report VALUES (?, ?)", (sequence, text))
        transaction.execute("UPDATE meta SET value = ? WHERE name = 'sequence'", (str(sequence),))
        return sequence, text

    @property
    def _meta(self) -> Mapping[str, str]:
        return dict(self._connection.execute("SELECT name, value FROM meta"))

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.executescript(_SCHEMA)
            first = [("stream", new_id()), ("sequence", "0")]
            connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", first)
            with closing(connection.execute("PRAGMA quick_check(1)")) as check:
                if check.fetchone() != ("ok",):
                    raise sqlite3.DatabaseError("quick_check failed")
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    def _start_over(self, error: Exception) -> sqlite3.Connection:
        _log.error(
            "counts_put_aside",
            path=f"{self._path}.damaged",
            reason=type(error).__name__,
            advice="what was counted since the last report to the control plane is in that file alone",
        )
        self._path.replace(f"{self._path}.damaged")
        for suffix in ("-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        return self._open()


def _as_wire(hour: int, key: str, calls: int, size: int) -> dict[str, Any]:
    api, application, subscription = (*key.split("|"), "", "")[:3]
    return {
        "hour": hour,
        "api_id": api,
        "application_id": _id_or_none(application),
        "subscription_id": _id_or_none(subscription),
        "calls": calls,
        "bytes": size,
    }


def _id_or_none(text: str) -> str | None:
    return None if text in ("", "-") else text
