"""Counters of login attempts in SQL.

`failures` were charged; `pending` are reserved by logins still under way. A counter whose
`expires_at` has passed counts as zero, whoever reads it, so nothing has to run for a lock to end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    String,
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
from ostiary.identity.tables import subjects


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


@dataclass(frozen=True, slots=True)
class Lock:
    """A counter of somebody's that refuses every attempt. An empty `client_id`: through every client."""

    subject_id: str
    store: str
    username: str
    client_id: str
    failures: int
    since: datetime
    until: datetime


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
            "locked_at": case((_gone, None), else_=attempts.c.locked_at),
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
        locked_at=case((_failures + 1 >= _MOST, func.coalesce(attempts.c.locked_at, _NOW)), else_=None),
        subject_id=func.coalesce(bindparam("whose", type_=String), attempts.c.subject_id),
        expires_at=_END,
    )
)
_RELEASE = update(attempts).where(_HERE).values(pending=_less_pending)
_DELETE_UNUSED = delete(attempts).where(_HERE, attempts.c.pending <= 1, attempts.c.failures == 0)
_CLEAR = (
    update(attempts).where(_HERE).values(pending=_less_pending, failures=0, locked_until=None, locked_at=None)
)
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


def charge(
    connection: Connection, key: CounterKey, allowance: Allowance, now: datetime, whose: str | None
) -> None:
    """Turn a reservation into a failure, of the subject `whose` where known; the last one allowed locks."""
    times = {"at_now": now, "at_end": now + allowance.lock}
    connection.execute(_CHARGE, {**_here(key), **times, "most": allowance.failures, "whose": whose})


def release(connection: Connection, key: CounterKey) -> None:
    """Give a reservation back."""
    if connection.execute(_DELETE_UNUSED, _here(key)).rowcount == 0:
        connection.execute(_RELEASE, _here(key))


def clear(connection: Connection, key: CounterKey) -> None:
    """Give a reservation back and forget the failures: the person has just logged in.

    A statement for each counter: one for both would lock them in any order, and two logins each other out.
    """
    if connection.execute(_DELETE_UNSHARED, _here(key)).rowcount == 0:
        connection.execute(_CLEAR, _here(key))


def forget(connection: Connection, organization_id: str, identity: str) -> None:
    """End every lock of an identity."""
    here = and_(attempts.c.organization_id == organization_id, attempts.c.identity == identity)
    connection.execute(delete(attempts).where(here))


def forget_person(
    connection: Connection, organization_id: str, subject_id: str, identities: Sequence[str]
) -> bool:
    """End every lock of somebody; says whether anything was counted."""
    theirs = or_(attempts.c.subject_id == subject_id, attempts.c.identity.in_(identities))
    here = and_(attempts.c.organization_id == organization_id, theirs)
    return connection.execute(delete(attempts).where(here)).rowcount > 0


def locks(connection: Connection, organization_id: str, now: datetime, offset: int, limit: int) -> list[Lock]:
    """One part of the locks of people, that which lasts longest first."""
    who = and_(
        subjects.c.organization_id == attempts.c.organization_id, subjects.c.id == attempts.c.subject_id
    )
    query = (
        select(
            subjects.c.id,
            subjects.c.store,
            subjects.c.username,
            attempts.c.client_id,
            attempts.c.failures,
            attempts.c.locked_at,
            attempts.c.locked_until,
        )
        .join(subjects, who)
        .where(_locked(organization_id, now))
        .order_by(attempts.c.locked_until.desc(), subjects.c.id, attempts.c.client_id)
    )
    return [Lock(*row) for row in connection.execute(query.offset(offset).limit(limit))]


def count_locks(connection: Connection, organization_id: str, now: datetime) -> tuple[int, int]:
    """How many locks of people there are, and how many identities are locked that are nobody's."""
    of_people = func.count(attempts.c.subject_id)
    others = func.count(case((attempts.c.subject_id.is_(None), attempts.c.identity)).distinct())
    row = connection.execute(select(of_people, others).where(_locked(organization_id, now))).one()
    return int(row[0]), int(row[1])


def _locked(organization_id: str, now: datetime) -> ColumnElement[bool]:
    return and_(attempts.c.organization_id == organization_id, attempts.c.locked_until > now)


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
