"""What was read is true until somebody commits, and SQLite says whether anybody did.

`PRAGMA data_version` (4 µs, and more when much else runs) is asked before the first use in each turn of the
event loop. Whoever runs in that turn had arrived before the question, so what is remembered is never older
than what a read would find. Any commit by anybody forgets everything: this is for hours in which few write
and many ask.
"""

import asyncio
import sqlite3
from collections.abc import Hashable
from typing import Any, Final

AT_MOST: Final = 10_000
"""Results; one more and all are forgotten, so that made-up questions take no memory."""
NOTHING: Final = object()


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
