"""What was read is true until somebody commits, and SQLite says whether anybody did.

`PRAGMA data_version` (4 µs, and more when much else runs) is asked before the first use in each turn of the
event loop. Whoever runs in that turn had arrived before the question, so what is remembered is never older
than what a read would find. Any commit by anybody forgets everything: this is for hours in which few write
and many ask.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

Result = TypeVar("Result")
AT_MOST: Final = 10_000
"""Results; one more and all are forgotten, so that made-up questions take no memory."""
NOTHING: Final = object()
_OF_THE_CONNECTION: Final = "ostiary_memory"


class Memory:
    """Results of reads by their question. Used from one thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        self._asked_in: asyncio.AbstractEventLoop | None = None
        self._results: dict[Hashable, Any] = {}

    def version(self) -> int:
        """Return the number of what is committed now; what was remembered of another one is forgotten.

        What arrives later is handled in a later turn of the loop, behind the call that ends this turn.
        """
        loop = asyncio.get_running_loop()
        if self._asked_in is loop:
            return self._version
        self._asked_in = loop
        loop.call_soon(self._turn_ends)
        return self._ask()

    def _turn_ends(self) -> None:
        self._asked_in = None

    def _ask(self) -> int:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        row: tuple[int] = self._connection.execute("PRAGMA data_version").fetchone()
        if row[0] != self._version:
            self._version = row[0]
            self._results.clear()
        return self._version

    def find(self, question: Hashable) -> Any:
        """Return the result, or `NOTHING`. Ask for the `version` first."""
        return self._results.get(question, NOTHING)

    def keep(self, question: Hashable, result: Any, version: int) -> None:
        """Remember a result that was read after `version` was asked for."""
        if version != self._version:
            return
        if len(self._results) >= AT_MOST:
            self._results.clear()
        self._results[question] = result

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()

    def serve(self, connection: Connection) -> None:
        """Let `remembered` find it. The `version` was asked for before the snapshot began that is read."""
        connection.info[_OF_THE_CONNECTION] = self


def remembered(connection: Connection, question: Hashable, unit: Callable[[Connection], Result]) -> Result:
    """Return what `unit` reads, as a part of another unit.

    In a glance it is not read again before somebody commits; see `Database.recall`. A unit that may write
    reads everything itself.
    """
    memory: Memory | None = connection.info.get(_OF_THE_CONNECTION)
    if memory is None:
        return unit(connection)
    version = memory.version()
    known: Result = memory.find(question)
    if known is NOTHING:
        known = unit(connection)
        memory.keep(question, known, version)
    return known
