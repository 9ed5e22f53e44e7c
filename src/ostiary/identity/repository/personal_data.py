"""What identity holds about a person: subject, user of PRIMARY, kept passwords, answers, failed logins."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, or_

from ostiary.foundation.people import Holding, Person, rows_held
from ostiary.identity.challenges.tables import challenge_answers
from ostiary.identity.lockout import identity_key
from ostiary.identity.tables import kept_credentials, login_attempts, subjects, users

_SECRET = frozenset({"password_hash", "answer_hash"})


def _rows(person: Person) -> dict[str, tuple[Table, ColumnElement[bool]]]:
    here, kept, tried = person.organization_id, kept_credentials.c, login_attempts.c
    answered = challenge_answers.c
    identity = identity_key(person.store, person.username)
    return {
        "subject": (
            subjects,
            and_(subjects.c.organization_id == here, subjects.c.id == person.subject_id),
        ),
        "user": (users, and_(users.c.organization_id == here, users.c.id == person.immutable_id)),
        "kept_passwords": (
            kept_credentials,
            and_(
                kept.organization_id == here,
                kept.store_id == person.store_id,
                kept.immutable_id == person.immutable_id,
            ),
        ),
        "challenge_answers": (
            challenge_answers,
            and_(answered.organization_id == here, answered.subject_id == person.subject_id),
        ),
        "failed_logins": (
            login_attempts,
            and_(
                tried.organization_id == here,
                or_(tried.identity == identity, tried.subject_id == person.subject_id),
            ),
        ),
    }


def _held(connection: Connection, person: Person) -> Any:
    return {name: rows_held(connection, *rows, secret=_SECRET) for name, rows in _rows(person).items()}


def _forget(connection: Connection, person: Person) -> None:
    for table, here in _rows(person).values():
        connection.execute(delete(table).where(here))


PERSONAL_DATA = Holding("identity", _held, _forget)
