"""How far moving away from user stores is; what moves, and when, is in `user_stores/migrating.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from ostiary.identity.model import UserStoreSettings
from ostiary.identity.repository import kept_credentials, subjects, user_stores


@dataclass(frozen=True, slots=True)
class Migration:
    """How far moving away from one store is. `until` and `days_left` are None where nothing moves."""

    store: str
    until: date | None
    days_left: int | None
    """Days on which the old store is still asked, today included; 0 when it is not asked any more."""
    moved: int
    """People whose password is kept here."""
    not_moved: int
    """People who have logged in there, have not moved and are not disabled: they would be left behind."""
    seen: int
    """People who have ever logged in there."""
    last_moved_at: datetime | None


def migration_of(connection: Connection, store: UserStoreSettings, now: datetime) -> Migration:
    """Count the people of a store."""
    here = store.organization_id
    kept = kept_credentials.progress(connection, here, store.id)
    return Migration(
        store=store.name,
        until=store.options.migrate_until,
        days_left=store.days_left(now),
        moved=kept.kept,
        not_moved=subjects.count_not_moved(connection, here, store.id),
        seen=subjects.count_of_store(connection, here, store.id),
        last_moved_at=kept.last_kept_at,
    )


def list_migrations(connection: Connection, organization_id: str, now: datetime) -> Sequence[Migration]:
    """Every store of the organization that is moved away from, in the order they are asked."""
    chain = user_stores.chain(connection, organization_id)
    return [migration_of(connection, store, now) for store in chain if store.is_migrating]
