"""A person, as everything that is held about somebody is found: to hand it out, or to erase it.

Each slice says what it holds (`Holding`); `app` puts the holdings of all slices together.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, select


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, as subject and by the name that others wrote down. `written` is `[STORE/]name`."""

    organization_id: str
    subject_id: str
    store_id: str
    store: str
    immutable_id: str
    username: str
    written: str
    displayed: str
    """`[STORE/]name@organization`."""


class Holding(NamedTuple):
    """What a slice holds about people. `held` leaves secrets out; `forget` takes the person out."""

    name: str
    held: Callable[[Connection, Person], Any]
    forget: Callable[[Connection, Person], None]


def rows_held(
    connection: Connection, table: Table, here: ColumnElement[bool], secret: Collection[str] = ()
) -> list[dict[str, Any]]:
    """The rows of a table as they are, without the columns that are secret."""
    columns = [column for column in table.c if column.name not in secret]
    return [dict(row._mapping) for row in connection.execute(select(*columns).where(here))]
