"""A connection for each thread that works on SQLite, kept from one unit of work to the next.

Taking one out of a pool and giving it back costs as much as two statements, and `BEGIN` said through
SQLAlchemy as much as a third.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError


class OwnConnections:
    """Transactions on the calling thread's own connection; a broken one is replaced."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._own = threading.local()
        self._all: list[Connection] = []

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back when something is raised."""
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._engine.connect()
            self._all.append(connection)
        try:
            with connection.begin():
                yield connection
        except DBAPIError:
            self._let_go(connection)
            raise

    def close(self) -> None:
        """Let go of every connection, once the threads have ended."""
        for connection in self._all:
            connection.close()
        self._all.clear()

    def _let_go(self, connection: Connection) -> None:
        """Whatever the driver complained about, the next unit begins with a fresh connection."""
        self._own.connection = None
        self._all.remove(connection)
        connection.invalidate()
        connection.close()


def say(connection: Connection, statement: str) -> None:
    """Execute a statement without parameters and rows by the driver itself.

    Raises:
        DBAPIError: as when SQLAlchemy had said it.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 (for SQLite alone)
    try:
        driver.execute(statement)
    except sqlite3.Error as error:
        raise DBAPIError.instance(statement, None, error, sqlite3.Error) from error
