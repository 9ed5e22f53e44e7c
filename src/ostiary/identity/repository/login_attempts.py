"""Counters of login attempts in SQL.

`failures` were charged; `pending` are reserved by logins still under way. A counter whose
`expires_at` has passed counts as zero, whoever reads it, so nothing has to run for a lock to end.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)

from ostiary.foundation.database import Instant
from ostiary.identity.repository import run, upserts
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


_NOW, _END = bindparam("at_now", type_=Instant), bindparam("at_end", type_=Instant)
_OLDEST, _MOST = bindparam("at_oldest", type_=Instant), bindparam("most", type_=Integer)
_KEY = ("organization_id", "identity", "client_id")
_HERE = and_(*(attempts.c[name] == bindparam(f"key_{name}") for name in _KEY))

_gone, _stale = attempts.c.expires_at <= _NOW, attempts.c.pending_since <= _OLDEST
_failures = case((_gone, 0), else_=attempts.c.failures)
_pending = case((_stale, 0), else_=attempts.c.pending)
_less_pending = case((attempts.c.pending > 0, attempts.c.pending - 1), else_=0)

_RESERVE = upserts(
    attempts,
    lambda insert: insert.values(
        **{name: bindparam(f"key_{name}") for name in _KEY},
        failures=0,
        pending=1,
        pending_since=_NOW,
        expires_at=_END,
    ).on_conflict_do_update(
        index_elements=_KEY,
        set_={
            "failures": _failures,
            "pending": _pending + 1,
            "pending_since": case(
                (or_(_stale, attempts.c.pending == 0), _NOW), else_=attempts.c.pending_since
            ),
            "locked_until": case((_gone, None), else_=attempts.c.locked_until),
            "expires_at": case((_gone, _END), else_=attempts.c.expires_at),
        },
        where=_failures + _pending < _MOST,
    ),
)
_CHARGE = (
    update(attempts)
    .where(_HERE)
    .values(
        failures=_failures + 1,
        pending=_less_pending,
        locked_until=case((_failures + 1 >= _MOST, _END), else_=None),
        expires_at=_END,
    )
)
_RELEASE = update(attempts).where(_HERE).values(pending=_less_pending)
_DELETE_UNUSED = delete(attempts).where(_HERE, attempts.c.pending <= 1, attempts.c.failures == 0)
_CLEAR = update(attempts).where(_HERE).values(pending=_less_pending, failures=0, locked_until=None)
_DELETE_UNSHARED = delete(attempts).where(_HERE, attempts.c.pending <= 1)
_LOCKED_UNTIL = select(attempts.c.locked_until).where(_HERE)


def reserve(
    connection: Connection, key: CounterKey, allowance: Allowance, now: datetime, oldest_pending: datetime
) -> bool:
    """Take a place for one attempt, in one conditional statement; False where there is none left."""
    times = {"at_now": now, "at_end": now + allowance.lock, "at_oldest": oldest_pending}
    return run(connection, _RESERVE, {**_here(key), **times, "most": allowance.failures}).rowcount == 1


def locked_until(connection: Connection, key: CounterKey, now: datetime) -> datetime | None:
    """Until when the counter refuses every attempt; None where it is not locked."""
    until: datetime | None = connection.execute(_LOCKED_UNTIL, _here(key)).scalar()
    return until if until is not None and until > now else None


def charge(connection: Connection, key: CounterKey, allowance: Allowance, now: datetime) -> None:
    """Turn a reservation into a failure; the last one allowed locks."""
    times = {"at_now": now, "at_end": now + allowance.lock}
    connection.execute(_CHARGE, {**_here(key), **times, "most": allowance.failures})


def release(connection: Connection, key: CounterKey) -> None:
    """Give a reservation back."""
    if connection.execute(_DELETE_UNUSED, _here(key)).rowcount == 0:
        connection.execute(_RELEASE, _here(key))


def clear(connection: Connection, key: CounterKey) -> None:
    """Give a reservation back and forget the failures: the person has just logged in."""
    if connection.execute(_DELETE_UNSHARED, _here(key)).rowcount == 0:
        connection.execute(_CLEAR, _here(key))


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
    key = tuple_(*(attempts.c[name] for name in _KEY))
    first = select(*(attempts.c[name] for name in _KEY)).where(which).order_by(attempts.c.expires_at)
    first = first.limit(limit).with_for_update(skip_locked=True)  # two sweeps must not wait for each other
    return connection.execute(delete(attempts).where(key.in_(first))).rowcount


def _here(key: CounterKey) -> dict[str, Any]:
    return {f"key_{name}": getattr(key, name) for name in _KEY}
