"""Credentials kept of stores that are migrated from, in SQL."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, select, update

from ostiary.identity.repository import run, upserts
from ostiary.identity.tables import kept_credentials as kept
from ostiary.identity.user_stores.contract import UserRecord

_KEY = ("organization_id", "store_id", "username")
_FIND = select(kept).where(and_(*(kept.c[name] == bindparam(f"key_{name}") for name in _KEY)))
_PUT = upserts(
    kept,
    lambda insert: insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={column.name: insert.excluded[column.name] for column in kept.c if column.name not in _KEY},
    ),
)


@dataclass(frozen=True, slots=True)
class KeptCredential:
    """A password's hash, and what the store said of its person then."""

    record: UserRecord
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Progress:
    """How many credentials are kept of a store, and since when the last one is."""

    kept: int
    last_kept_at: datetime | None


def find(connection: Connection, organization_id: str, store_id: str, username: str) -> KeptCredential | None:
    """What is kept of that name."""
    key: Mapping[str, str] = {
        "key_organization_id": organization_id,
        "key_store_id": store_id,
        "key_username": username,
    }
    row = connection.execute(_FIND, key).first()
    if row is None:
        return None
    record = UserRecord(row.immutable_id, row.own_name, frozenset(row.groups), row.claims)
    return KeptCredential(record, row.password_hash)


def put(
    connection: Connection,
    organization_id: str,
    store_id: str,
    username: str,
    credential: KeptCredential,
    now: datetime,
) -> None:
    """Keep this of that name, in place of what was kept before.

    Other names of the same person get the new password too: the old one is right for none of them.
    """
    record = credential.record
    row = {
        "organization_id": organization_id,
        "store_id": store_id,
        "username": username,
        "immutable_id": record.immutable_id,
        "own_name": record.username,
        "password_hash": credential.password_hash,
        "groups": sorted(record.groups),
        "claims": dict(record.claims),
        "kept_at": now,
    }
    run(connection, _PUT, row)
    person = _person(organization_id, store_id, record.immutable_id)
    connection.execute(update(kept).where(person).values(password_hash=credential.password_hash))


def remove(connection: Connection, organization_id: str, store_id: str, immutable_id: str) -> None:
    """Forget what is kept of a person, whatever the name."""
    connection.execute(delete(kept).where(_person(organization_id, store_id, immutable_id)))


def progress(connection: Connection, organization_id: str, store_id: str) -> Progress:
    """How far a migration is: people count once, however many names they use."""
    here = and_(kept.c.organization_id == organization_id, kept.c.store_id == store_id)
    query = select(func.count(func.distinct(kept.c.immutable_id)), func.max(kept.c.kept_at)).where(here)
    count, last = connection.execute(query).one()
    return Progress(int(count), last)


def remove_all(connection: Connection, organization_id: str, store_id: str) -> None:
    """Forget everything kept of a store."""
    here = and_(kept.c.organization_id == organization_id, kept.c.store_id == store_id)
    connection.execute(delete(kept).where(here))


def _person(organization_id: str, store_id: str, immutable_id: str) -> ColumnElement[bool]:
    return and_(
        kept.c.organization_id == organization_id,
        kept.c.store_id == store_id,
        kept.c.immutable_id == immutable_id,
    )
