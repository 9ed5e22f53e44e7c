"""People of any store in SQL, as they are listed: those of PRIMARY, and those seen in an outside store.

A page is read along an index: by name within one store. Somebody whose user or store is gone is not listed.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    and_,
    exists,
    func,
    or_,
    select,
    update,
)

from ostiary.identity.model import Person, Subject
from ostiary.identity.repository.subjects import subject_of
from ostiary.identity.tables import subjects, user_stores, users
from ostiary.identity.user_names import PRIMARY

_OWN = and_(
    subjects.c.organization_id == users.c.organization_id,
    subjects.c.store_id == PRIMARY,
    subjects.c.immutable_id == users.c.id,
)
_OF_USER = (
    users.c.claims.label("own_claims"),
    users.c.external_id,
    users.c.attributes,
    users.c.created_at,
    users.c.updated_at,
)
_HAS_STORE = exists().where(
    user_stores.c.organization_id == subjects.c.organization_id, user_stores.c.id == subjects.c.store_id
)

_LIVING = (
    select(subjects, *_OF_USER)
    .join_from(subjects, users, _OWN, isouter=True)
    .where(or_(users.c.id.is_not(None), _HAS_STORE))
)

Terms = Mapping[str, str]
"""What all the people of a list have in common: a value for some of the keys of `TERMS`."""

TERMS: Final[Mapping[str, Callable[[Table, str], ColumnElement[bool]]]] = MappingProxyType(
    {
        "username": lambda table, value: table.c.username == value,
        "username_prefix": lambda table, value: table.c.username.startswith(value, autoescape=True),
        "external_id": lambda table, value: table.c.external_id == value,
    }
)
"""What people can be found by, besides `id`; each is a column with an index."""


def find(connection: Connection, organization_id: str, subject_id: str) -> Person | None:
    """The person of that `sub`, whatever the store."""
    here = and_(subjects.c.organization_id == organization_id, subjects.c.id == subject_id)
    row = connection.execute(_LIVING.where(here)).first()
    return None if row is None else _model(row)


def page(
    connection: Connection,
    organization_id: str,
    store: tuple[str, str],
    terms: Terms,
    *,
    descending: bool,
    offset: int,
    limit: int,
) -> tuple[int, Sequence[Person]]:
    """How many people of the store (identifier and name) fit, and some of them in the order of names.

    The place of a page is looked for in one table alone: skipping a row costs no join.
    """
    table, here = _table(organization_id, *store)
    if "external_id" in terms and table is not users:
        return 0, []
    fits = and_(here, *(TERMS[term](table, value) for term, value in terms.items()))
    total = connection.execute(select(func.count()).select_from(table).where(fits)).scalar_one()
    name = table.c.username.desc() if descending else table.c.username
    keys = select(table.c.id).where(fits).order_by(name).offset(offset).limit(limit)
    ids = connection.execute(keys).scalars().all() if total and limit else []
    key = subjects.c.immutable_id if table is users else subjects.c.id
    own = and_(subjects.c.organization_id == organization_id, subjects.c.store_id == store[0])
    found = [_model(row) for row in connection.execute(_LIVING.where(own, key.in_(ids)))] if ids else []
    return total, sorted(found, key=lambda person: person.subject.username, reverse=descending)


def by_names(
    connection: Connection, organization_id: str, store: str, names: Sequence[str]
) -> Sequence[Subject]:
    """The people of a store with these canonical names."""
    here = and_(subjects.c.organization_id == organization_id, subjects.c.store == store)
    return [
        subject_of(row) for row in connection.execute(_LIVING.where(here, subjects.c.username.in_(names)))
    ]


def by_ids(connection: Connection, organization_id: str, ids: Sequence[str]) -> Sequence[Subject]:
    """The people with these `sub`s, of any store."""
    here = and_(subjects.c.organization_id == organization_id, subjects.c.id.in_(ids))
    return [subject_of(row) for row in connection.execute(_LIVING.where(here))]


def describe(
    connection: Connection,
    person: Person,
    external_id: str | None,
    attributes: Mapping[str, Any],
    now: datetime,
) -> None:
    """Keep what a provisioning client has said of a user of PRIMARY."""
    here = and_(
        users.c.organization_id == person.subject.organization_id, users.c.id == person.subject.immutable_id
    )
    values = {"external_id": external_id, "attributes": dict(attributes) or None, "updated_at": now}
    connection.execute(update(users).where(here).values(**values))


def _table(organization_id: str, store_id: str, store: str) -> tuple[Table, ColumnElement[bool]]:
    """Where the people of a store are, and which rows they are."""
    if store_id == PRIMARY:
        return users, users.c.organization_id == organization_id
    here = and_(
        subjects.c.organization_id == organization_id,
        subjects.c.store == store,
        subjects.c.store_id == store_id,
    )
    return subjects, here


def _model(row: Row[Any]) -> Person:
    changed = (row.updated_at, row.disabled_at, row.first_seen_at)
    return Person(
        subject=subject_of(row),
        claims=row.own_claims if row.store_id == PRIMARY else row.claims or {},
        is_disabled=row.disabled_at is not None,
        created_at=row.created_at or row.first_seen_at,
        changed_at=max(instant for instant in changed if instant is not None),
        external_id=row.external_id,
        attributes=row.attributes or {},
    )
