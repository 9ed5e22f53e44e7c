"""Removing an organization: gone at once for everybody, taken away in small parts afterwards (ADR 0023).

`remove` notes in one row that it is gone; everything finds an organization by that row, so nothing of it is
usable from then on. `Removal` deletes what is left, a few rows at a time, last the row that keeps the name.
What an organization has is in whatever table names an `organization_id`: a new table needs nothing here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, bindparam, delete, literal, select, tuple_, update

from ostiary.foundation import audit
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database, metadata
from ostiary.foundation.events import Event, record
from ostiary.foundation.telemetry import get_logger
from ostiary.organizations.model import Organization
from ostiary.organizations.repository import by_id
from ostiary.organizations.tables import organizations

_log = get_logger(__name__)
AT_ONCE: Final = 200
SETTLED_AFTER: Final = timedelta(seconds=15)
"""What was being written when an organization was removed is written or refused by then."""
KEPT: Final[Mapping[str, str]] = {
    "audit_staged": "it waits to be chained",
    "audit_log": "who did what stays known as long as `audit.kept` says",
    "audit_checkpoints": "they prove that log",
    "audit_signing_keys": "they verify those",
    "outbox": "gateway nodes are still to hear of it; the oldest of 100,000 events goes",
}
"""Tables that outlive an organization, and why. No row of them says by itself who a person is."""
RowEvents = Mapping[str, tuple[str, tuple[str, ...]]]
"""Table → what gateway nodes know a row as: the topic of its event, the columns that name it in there."""


class DefaultStays(Exception):
    """The organization that runs the installation cannot be removed."""


def remove(connection: Connection, organization_id: str, now: datetime) -> Organization | None:
    """Remove the organization for everybody, at once; None where there is none (any more).

    Raises:
        DefaultStays: it is the default one.
    """
    found = by_id(connection, organization_id)
    if found is None:
        return None
    if found.is_default:
        raise DefaultStays
    here = (organizations.c.id == found.id) & organizations.c.removed_at.is_(None)
    if connection.execute(update(organizations).where(here).values(removed_at=now)).rowcount == 0:
        return None
    record(connection, Event("organization", found.id, found.id))
    audit.note(connection, found.id, "organization", found.name, found, None)
    return found


def owned_tables() -> list[Table]:
    """Every table that is emptied, in such an order that nothing is deleted before what refers to it."""
    return [
        table
        for table in reversed(metadata.sorted_tables)
        if "organization_id" in table.c and table.name not in KEPT
    ]


@dataclass(frozen=True, slots=True)
class Removal:
    """The job that takes away what removed organizations leave. It goes on wherever a worker was killed."""

    database: Database
    row_events: RowEvents
    forget: Callable[[str], None]
    """Lets go of what this worker holds of the organization in its memory."""
    clock: Clock

    async def run(self) -> None:
        """Take away all that is due; every worker may do so at the same time."""
        for row in await self.database.read(_removed):
            self.forget(row.id)
            if row.removed_at <= self.clock() - SETTLED_AFTER:
                await self._sweep(row.id, row.name)

    async def _sweep(self, organization_id: str, name: str) -> None:
        rows = 0
        for table in owned_tables():
            rows += await self._empty(table, organization_id)
        await self.database.settle()
        if await self.database.write(lambda connection: _free(connection, organization_id)):
            _log.info("organization_removed", organization=name, id=organization_id, rows=rows)

    async def _empty(self, table: Table, organization_id: str) -> int:
        """Each part begins where the one before ended: nothing is written there any more."""
        event, last, rows = self.row_events.get(table.name), None, 0
        while found := await self.database.read(partial(_next, table, event, organization_id, last)):
            await self.database.write(partial(_delete, table, event, organization_id, found))
            last, rows = found[-1], rows + len(found)
        return rows


def forget_logs_of_removed(connection: Connection) -> None:
    """Erase people from the audit logs of organizations that are gone; the rest goes with its last record."""
    logged = audit.organizations_logged(connection)
    there = connection.execute(select(organizations.c.id)).scalars()  # last, or one made meanwhile seems gone
    for organization_id in sorted(logged.difference(there)):
        audit.forget_organization(connection, organization_id)


def _removed(connection: Connection) -> Sequence[Row[Any, Any, Any]]:
    columns = (organizations.c.id, organizations.c.name, organizations.c.removed_at)
    return connection.execute(select(*columns).where(organizations.c.removed_at.is_not(None))).all()


def _next(
    table: Table,
    event: tuple[str, tuple[str, ...]] | None,
    organization_id: str,
    last: Row[Any] | None,
    connection: Connection,
) -> Sequence[Row[Any]]:
    """Find the organization's next rows: their keys, and what names them in events."""
    keys = list(table.primary_key)
    named = [table.c[name] for name in (event[1] if event else ()) if table.c[name] not in keys]
    query = select(*keys, *named).where(table.c.organization_id == organization_id).order_by(*keys)
    if last is not None:
        reached = (literal(last._mapping[key.name], key.type) for key in keys)
        query = query.where(tuple_(*keys) > tuple_(*reached))
    return connection.execute(query.limit(AT_ONCE)).all()


def _delete(
    table: Table,
    event: tuple[str, tuple[str, ...]] | None,
    organization_id: str,
    rows: Sequence[Row[Any]],
    connection: Connection,
) -> None:
    keys = list(table.primary_key)
    these = delete(table).where(*(key == bindparam(f"key_{key.name}") for key in keys))
    connection.execute(these, [{f"key_{key.name}": row._mapping[key.name] for key in keys} for row in rows])
    if event is not None:
        topic, names = event
        told = (":".join(str(row._mapping[name]) for name in names) for row in rows)
        record(connection, *(Event(topic, organization_id, key) for key in told))


def _free(connection: Connection, organization_id: str) -> bool:
    """Give the name back; False where another worker did."""
    here = (organizations.c.id == organization_id) & organizations.c.removed_at.is_not(None)
    return connection.execute(delete(organizations).where(here)).rowcount == 1
