"""PRIMARY users in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    literal,
    select,
    update,
)

from ostiary.identity.model import User
from ostiary.identity.repository import run, upserts
from ostiary.identity.tables import subjects, users
from ostiary.identity.user_names import PRIMARY


@dataclass(frozen=True, slots=True)
class Credential:
    """What PRIMARY needs to check a password."""

    user_id: str
    username: str
    password_hash: str
    claims: Mapping[str, str]


def _unless_taken(insert: Any) -> Any:
    return insert.on_conflict_do_nothing(index_elements=["organization_id", "username"])


_HERE = and_(
    users.c.organization_id == bindparam("key_organization_id"), users.c.username == bindparam("key_username")
)
_CREDENTIAL = select(users.c.id, users.c.username, users.c.password_hash, users.c.claims).where(_HERE)
_ADD = upserts(users, lambda insert: _unless_taken(insert))
_KNOWS = select(users.c.id).where(_HERE)
_USERS = select(users, subjects.c.id.label("subject_id"), subjects.c.disabled_at).join_from(
    users,
    subjects,
    and_(
        subjects.c.organization_id == users.c.organization_id,
        subjects.c.store_id == PRIMARY,
        subjects.c.immutable_id == users.c.id,
    ),
)
_USER = _USERS.where(_HERE)
_CHANGE = update(users).where(_HERE)


def credential(connection: Connection, organization_id: str, username: str) -> Credential | None:
    """The password hash of that canonical name, and what goes with it."""
    row = connection.execute(_CREDENTIAL, _here(organization_id, username)).first()
    return None if row is None else Credential(*row)


def knows(connection: Connection, organization_id: str, username: str) -> bool:
    """Whether PRIMARY has that canonical name."""
    return connection.execute(_KNOWS, _here(organization_id, username)).first() is not None


def is_empty(connection: Connection, organization_id: str) -> bool:
    """Whether PRIMARY has no user at all."""
    here = users.c.organization_id == organization_id
    return connection.execute(select(users.c.id).where(here).limit(1)).first() is None


def replace_hash(
    connection: Connection, organization_id: str, user_id: str, old_hash: str, new_hash: str
) -> bool:
    """Store the same password under newer parameters, unless it was changed meanwhile."""
    here = and_(users.c.organization_id == organization_id, users.c.id == user_id)
    changed = connection.execute(
        update(users).where(here, users.c.password_hash == old_hash).values(password_hash=new_hash)
    )
    return changed.rowcount == 1


def add(
    connection: Connection,
    user_id: str,
    organization_id: str,
    username: str,
    password_hash: str,
    claims: Mapping[str, str],
    now: datetime,
) -> bool:
    """Insert a user; False where the name is taken."""
    row = _row(user_id, organization_id, username, password_hash, claims, now)
    return run(connection, _ADD, row).rowcount == 1


def add_first(
    connection: Connection,
    user_id: str,
    organization_id: str,
    username: str,
    password_hash: str,
    now: datetime,
) -> bool:
    """Insert a user if the organization has none yet, in one statement; False otherwise."""
    nobody = ~select(users.c.id).where(users.c.organization_id == organization_id).exists()
    row = _row(user_id, organization_id, username, password_hash, {}, now)
    source = select(*(literal(value, users.c[name].type) for name, value in row.items())).where(nobody)
    statements = upserts(users, lambda insert: _unless_taken(insert.from_select(list(row), source)))
    return run(connection, statements, {}).rowcount == 1


def change(
    connection: Connection, user: User, password_hash: str | None, claims: Mapping[str, str], now: datetime
) -> None:
    """Write a user's new claims and, where given, new password hash."""
    values: dict[str, object] = {"claims": dict(claims), "updated_at": now}
    if password_hash is not None:
        values["password_hash"] = password_hash
    connection.execute(_CHANGE, _here(user.organization_id, user.username) | values)


def find(connection: Connection, organization_id: str, username: str) -> User | None:
    """The user of that canonical name."""
    row = connection.execute(_USER, _here(organization_id, username)).first()
    return None if row is None else _model(row)


def page(connection: Connection, organization_id: str, after: str, limit: int) -> Sequence[User]:
    """At most `limit` users in the order of their names, beginning after the name `after`."""
    query = _USERS.where(users.c.organization_id == organization_id, users.c.username > after)
    return [_model(row) for row in connection.execute(query.order_by(users.c.username).limit(limit))]


def remove(connection: Connection, organization_id: str, username: str) -> None:
    """Delete the user's row; the subject stays, so that its `sub` is never given again."""
    connection.execute(delete(users).where(_is(organization_id, username)))


def _row(
    user_id: str,
    organization_id: str,
    username: str,
    password_hash: str,
    claims: Mapping[str, str],
    now: datetime,
) -> dict[str, Any]:
    return {
        "id": user_id,
        "organization_id": organization_id,
        "username": username,
        "password_hash": password_hash,
        "claims": dict(claims),
        "created_at": now,
        "updated_at": now,
    }


def _here(organization_id: str, username: str) -> dict[str, str]:
    return {"key_organization_id": organization_id, "key_username": username}


def _is(organization_id: str, username: str) -> ColumnElement[bool]:
    return and_(users.c.organization_id == organization_id, users.c.username == username)


def _model(row: Row[tuple[object, ...]]) -> User:
    return User(
        row.id,
        row.organization_id,
        row.username,
        row.subject_id,
        row.claims,
        row.disabled_at is not None,
        row.created_at,
        row.updated_at,
    )
