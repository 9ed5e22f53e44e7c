"""Every SQL statement of the identity slice. Functions of a connection; no rules here.

Statements that each login runs are built once, with bind parameters: building one costs ten times
what running it does.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, CursorResult, Table
from sqlalchemy.dialects import postgresql, sqlite

Upserts = Mapping[str, Any]
"""One INSERT … ON CONFLICT, by dialect."""


def upserts(table: Table, build: Callable[[Any], Any]) -> Upserts:
    """The same statement in each dialect we serve; it says how many rows it wrote."""
    inserts = {"sqlite": sqlite.insert(table), "postgresql": postgresql.insert(table)}
    return {name: build(insert).execution_options(preserve_rowcount=True) for name, insert in inserts.items()}


def run(connection: Connection, statements: Upserts, parameters: Mapping[str, Any]) -> CursorResult[Any]:
    """Execute the statement of the connection's dialect."""
    result: CursorResult[Any] = connection.execute(statements[connection.dialect.name], parameters)
    return result
