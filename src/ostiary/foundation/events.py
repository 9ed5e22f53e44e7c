"""The outbox: news of a change, written in the transaction that makes it.

An event says what changed, never how: readers look at the current state, so a repeated or
late event does no harm. Events get their `number` after their commit, one numbering at a time,
because numbers handed out inside transactions would commit out of order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import Instant, metadata

_KEPT = 100_000
_NUMBERING_LOCK = 0x6F737469617279  # "ostiary"

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("number", BigInteger, unique=True),
    Column("topic", String(40), nullable=False),
    Column("organization_id", String(36), nullable=False),
    Column("key", String(400), nullable=False),
    Column("recorded_at", Instant, nullable=False),
    sqlite_autoincrement=True,
)
Index(
    "ix_outbox_unnumbered",
    outbox.c.id,
    sqlite_where=outbox.c.number.is_(None),
    postgresql_where=outbox.c.number.is_(None),
)
_RECORD = insert(outbox)


class TooOld(Exception):
    """Events after that number are no longer known one by one: read everything."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something changed: `key` is the identifier of the thing within `topic`."""

    topic: str
    organization_id: str
    key: str


def record(connection: Connection, *events: Event, at: datetime | None = None) -> None:
    """Write events into the transaction that makes the change."""
    if events:
        now = at or utc_now()
        rows = [
            {"topic": e.topic, "organization_id": e.organization_id, "key": e.key, "recorded_at": now}
            for e in events
        ]
        connection.execute(_RECORD, rows)


def has_unnumbered(connection: Connection) -> bool:
    """Whether a numbering is due."""
    return (
        connection.execute(select(outbox.c.id).where(outbox.c.number.is_(None)).limit(1)).first() is not None
    )


def number_events(connection: Connection) -> int:
    """Number what has been committed; returns how many. One numbering runs at a time, whoever starts it."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _NUMBERING_LOCK})
    waiting = (
        connection.execute(select(outbox.c.id).where(outbox.c.number.is_(None)).order_by(outbox.c.id))
        .scalars()
        .all()
    )
    if not waiting:
        return 0
    latest = latest_number(connection)
    statement = (
        update(outbox).where(outbox.c.id == bindparam("row_id")).values(number=bindparam("row_number"))
    )
    rows = [{"row_id": row_id, "row_number": latest + place} for place, row_id in enumerate(waiting, start=1)]
    connection.execute(statement, rows)
    connection.execute(delete(outbox).where(outbox.c.number <= latest - _KEPT))
    return len(waiting)


def latest_number(connection: Connection) -> int:
    """The number of the newest event; 0 before the first."""
    return int(connection.execute(select(func.max(outbox.c.number))).scalar() or 0)


def events_after(connection: Connection, number: int, at_most: int) -> Sequence[Event]:
    """The events numbered after `number`, in order: their numbers are the next ones.

    Raises:
        TooOld: some of them are gone, or `number` lies in the future (a restored backup).
    """
    oldest = connection.execute(select(func.min(outbox.c.number))).scalar()
    if number > latest_number(connection) or (oldest is not None and number < oldest - 1):
        raise TooOld(f"event {number} is not known here")
    columns = (outbox.c.topic, outbox.c.organization_id, outbox.c.key)
    rows = connection.execute(
        select(*columns).where(outbox.c.number > number).order_by(outbox.c.number).limit(at_most)
    )
    return [Event(*row) for row in rows]
