"""What the authorization server holds about a person: the tokens issued for somebody, never their values."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete

from ostiary.foundation.people import Holding, Person, rows_held
from ostiary.oauth.tables import access_tokens, token_families

_SECRET = frozenset({"fingerprint"})


def _rows(person: Person) -> dict[str, tuple[Table, ColumnElement[bool]]]:
    here, families, tokens = person.organization_id, token_families.c, access_tokens.c
    return {
        "token_families": (
            token_families,
            and_(families.organization_id == here, families.subject_id == person.subject_id),
        ),
        "access_tokens": (
            access_tokens,
            and_(tokens.organization_id == here, tokens.subject == person.subject_id),
        ),
    }


def _held(connection: Connection, person: Person) -> Any:
    return {name: rows_held(connection, *rows, secret=_SECRET) for name, rows in _rows(person).items()}


def _forget(connection: Connection, person: Person) -> None:
    """Refresh tokens go with their families."""
    for table, here in _rows(person).values():
        connection.execute(delete(table).where(here))


PERSONAL_DATA = Holding("tokens", _held, _forget)
