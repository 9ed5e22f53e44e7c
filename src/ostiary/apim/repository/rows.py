"""What every statement of the slice has in common: it names the organization."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import BindParameter, ColumnElement, Table
from sqlalchemy.exc import IntegrityError

from ostiary.apim.errors import Conflict
from ostiary.apim.limits import Limit, Period


@contextmanager
def unique(description: str) -> Iterator[None]:
    """Turn a broken uniqueness constraint (somebody else was faster) into a `Conflict`."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(description) from error


def could_be_id(text: str) -> bool:
    """Whether a row may have this identifier; a database is not asked about NUL or half characters."""
    return len(text) <= 36 and text.isascii() and text.isprintable()


def written_limit(limit: Limit | None) -> list[int | str] | None:
    """A limit as JSON."""
    return None if limit is None else [limit.requests, limit.per.value]


def read_limit(said: tuple[int, str] | None) -> Limit | None:
    """A limit from its JSON."""
    return None if said is None else Limit(said[0], Period(said[1]))


def rows_of(
    table: Table, organization_id: str | BindParameter[str], *conditions: ColumnElement[bool]
) -> ColumnElement[bool]:
    """The organization's rows for which the conditions hold."""
    here: ColumnElement[bool] = table.c.organization_id == organization_id
    for condition in conditions:
        here &= condition
    return here
