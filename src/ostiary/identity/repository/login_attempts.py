"""Counters of login attempts in SQL.

`failures` were charged; `pending` are reserved by logins still under way. A counter whose
`expires_at` has passed counts as zero, whoever reads it, so nothing has to run for a lock to end.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from ostiary.identity.repository import upsert
from ostiary.identity.tables import login_attempts as attempts


@dataclass(frozen=True, slots=True)
class CounterKey:
    """Whose attempts are counted. An empty `client_id` counts all clients together."""

    organization_id: str
    identity: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many failures a counter takes, how long they are remembered and how long the lock lasts."""

    failures: int
    lock: timedelta


def reserve(
    connection: Connection, key: CounterKey, allowance: Allowance, now: datetime, oldest_pending: datetime
) -> bool:
    """Take a place for one attempt, in one conditional statement; False where there is none left."""
    gone, stale = attempts.c.expires_at <= now, attempts.c.pending_since <= oldest_pending
    failures = case((gone, 0), else_=attempts.c.failures)
    pending = case((stale, 0), else_=attempts.c.pending)
    row = {
        "organization_id": key.organization_id,
        "identity": key.identity,
        "client_id": key.client_id,
        "failures": 0,
        "pending": 1,
        "pending_since": now,
        "expires_at": now + allowance.lock,
    }
    statement = upsert(connection, attempts).values(row)
    changes = {
        "failures": failures,
        "pending": pending + 1,
        "pending_since": case(
            (or_(stale, attempts.c.pending == 0), _instant(now)), else_=attempts.c.pending_since
        ),
        "locked_until": case((gone, None), else_=attempts.c.locked_until),
        "expires_at": case((gone, _instant(now + allowance.lock)), else_=attempts.c.expires_at),
    }
    taken = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["organization_id", "identity", "client_id"],
            set_=changes,
            where=failures + pending < allowance.failures,
        )
    )
    return bool(taken.rowcount == 1)


def locked_until(connection: Connection, key: CounterKey, now: datetime) -> datetime | None:
    """Until when the counter refuses every attempt; None where it is not locked."""
    until: datetime | None = connection.execute(select(attempts.c.locked_until).where(_is(key))).scalar()
    return until if until is not None and until > now else None


def charge(connection: Connection, key: CounterKey, allowance: Allowance, now: datetime) -> None:
    """Turn a reservation into a failure; the last one allowed locks."""
    failures = case((attempts.c.expires_at <= now, 0), else_=attempts.c.failures) + 1
    full = failures >= allowance.failures
    connection.execute(
        update(attempts)
        .where(_is(key))
        .values(
            failures=failures,
            pending=_one_less_pending(),
            locked_until=case((full, _instant(now + allowance.lock)), else_=None),
            expires_at=now + allowance.lock,
        )
    )


def release(connection: Connection, key: CounterKey) -> None:
    """Give a reservation back."""
    connection.execute(update(attempts).where(_is(key)).values(pending=_one_less_pending()))
    idle = and_(attempts.c.pending == 0, attempts.c.failures == 0)
    connection.execute(delete(attempts).where(_is(key), idle))


def clear(connection: Connection, key: CounterKey) -> None:
    """Give a reservation back and forget the failures: the person has just logged in."""
    values = {"pending": _one_less_pending(), "failures": 0, "locked_until": None}
    gone = connection.execute(delete(attempts).where(_is(key), attempts.c.pending <= 1))
    if gone.rowcount == 0:
        connection.execute(update(attempts).where(_is(key)).values(**values))


def forget(connection: Connection, organization_id: str, identity: str) -> None:
    """End every lock of an identity."""
    here = and_(attempts.c.organization_id == organization_id, attempts.c.identity == identity)
    connection.execute(delete(attempts).where(here))


def sweep(connection: Connection, now: datetime, oldest_pending: datetime, most: int, at_once: int) -> int:
    """Delete expired counters, and those that expire first beyond `most`; at most `at_once` of each."""
    idle = or_(attempts.c.pending == 0, attempts.c.pending_since <= oldest_pending)
    removed = _delete_first(connection, and_(attempts.c.expires_at <= now, idle), at_once)
    count = connection.execute(select(func.count()).select_from(attempts)).scalar_one()
    if count > most:
        removed += _delete_first(connection, attempts.c.expires_at.is_not(None), min(count - most, at_once))
    return removed


def _delete_first(connection: Connection, which: ColumnElement[bool], limit: int) -> int:
    key = (attempts.c.organization_id, attempts.c.identity, attempts.c.client_id)
    first = select(*key).where(which).order_by(attempts.c.expires_at).limit(limit)
    first = first.with_for_update(skip_locked=True)  # two sweeps at once must not wait for each other
    return connection.execute(delete(attempts).where(tuple_(*key).in_(first))).rowcount


def _one_less_pending() -> ColumnElement[int]:
    return case((attempts.c.pending > 0, attempts.c.pending - 1), else_=0)


def _instant(value: datetime) -> ColumnElement[datetime]:
    return literal(value, attempts.c.expires_at.type)


def _is(key: CounterKey) -> ColumnElement[bool]:
    return and_(
        attempts.c.organization_id == key.organization_id,
        attempts.c.identity == key.identity,
        attempts.c.client_id == key.client_id,
    )
