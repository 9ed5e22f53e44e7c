"""Usage in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ostiary.apim.repository.rows import rows_of
from ostiary.apim.tables import apis, applications, subscriptions, usage
from ostiary.organizations import by_id

_REMOVED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Used:
    """Calls of one hour; an empty id is nobody."""

    hour: int
    """Since 1970."""
    api_id: str
    application_id: str
    subscription_id: str
    calls: int
    bytes: int
    """Of the answers, with their headers."""


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose the things of a report are, as far as they are there."""

    apis: Mapping[str, str]
    applications: Mapping[str, str]
    subscriptions: Mapping[str, tuple[str, str, str]]
    """Organization, application and API."""


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """What somebody wants to know; hours from `from_hour` to before `to_hour`."""

    from_hour: int
    to_hour: int
    by: tuple[str, ...]
    api_id: str | None = None
    application_id: str | None = None
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One sum; `of` has what it is the sum of, by dimension."""

    of: Mapping[str, Any]
    calls: int
    bytes: int


# Composed once: putting a statement together costs more than running it.
_APIS = select(apis.c.id, apis.c.organization_id).where(apis.c.id.in_(bindparam("ids", expanding=True)))
_APPLICATIONS = select(applications.c.id, applications.c.organization_id).where(
    applications.c.id.in_(bindparam("ids", expanding=True))
)
_SUBSCRIPTIONS = select(
    subscriptions.c.id,
    subscriptions.c.organization_id,
    subscriptions.c.application_id,
    subscriptions.c.api_id,
).where(subscriptions.c.id.in_(bindparam("ids", expanding=True)))
_ADD = {
    dialect: statement.on_conflict_do_update(
        index_elements=list(usage.primary_key.columns),
        set_={
            "calls": usage.c.calls + statement.excluded.calls,
            "bytes": usage.c.bytes + statement.excluded.bytes,
        },
    )
    for dialect, statement in (("postgresql", postgresql_insert(usage)), ("sqlite", sqlite_insert(usage)))
}
_KEY = tuple(usage.primary_key.columns)
_OLD = select(*_KEY).where(usage.c.hour < bindparam("before")).limit(_REMOVED_AT_ONCE)
_REMOVE = delete(usage).where(*(column == bindparam(f"key_{column.name}") for column in _KEY))
_DIMENSIONS: Final = {
    "api": usage.c.api_id.label("api_id"),
    "application": usage.c.application_id.label("application_id"),
    "subscription": usage.c.subscription_id.label("subscription_id"),
    "hour": usage.c.hour.label("hour"),
    "day": (usage.c.hour - usage.c.hour % 24).label("day"),
}


def owners(connection: Connection, rows: Sequence[Used]) -> Owners:
    """Whose the things in these rows are; what a removed organization had is nobody's."""

    def found(statement: Any, ids: set[str]) -> list[Row[Any]]:
        return list(connection.execute(statement, {"ids": sorted(ids - {""})}))

    owners_of_apis = {row.id: row.organization_id for row in found(_APIS, {row.api_id for row in rows})}
    there = {one for one in set(owners_of_apis.values()) if by_id(connection, one) is not None}
    return Owners(
        {api_id: owner for api_id, owner in owners_of_apis.items() if owner in there},
        {row.id: row.organization_id for row in found(_APPLICATIONS, {row.application_id for row in rows})},
        {
            row.id: (row.organization_id, row.application_id, row.api_id)
            for row in found(_SUBSCRIPTIONS, {row.subscription_id for row in rows})
        },
    )


def add(connection: Connection, of: Owners, rows: Sequence[Used]) -> None:
    """Add to what is there; no two of these rows have the same key."""
    values = [
        {
            "organization_id": of.apis[row.api_id],
            **{name: getattr(row, name) for name in Used.__slots__},
        }
        for row in rows
    ]
    if values:
        connection.execute(_ADD[connection.dialect.name], values)


def read(connection: Connection, organization_id: str, query: UsageQuery) -> tuple[list[UsageRow], int]:
    """One part of the sums asked for, the earliest and then the largest first; and how many there are."""
    columns = [_DIMENSIONS[name] for name in dict.fromkeys(query.by)]
    conditions = [usage.c.hour >= query.from_hour, usage.c.hour < query.to_hour]
    if query.api_id is not None:
        conditions.append(usage.c.api_id == query.api_id)
    if query.application_id is not None:
        conditions.append(usage.c.application_id == query.application_id)
    calls, size = func.sum(usage.c.calls).label("calls"), func.sum(usage.c.bytes).label("bytes")
    sums: Select[Any] = select(*columns, calls, size).where(rows_of(usage, organization_id, *conditions))
    sums = sums.group_by(*columns).having(func.count() > 0)
    times = [column for name, column in _DIMENSIONS.items() if name in query.by and name in ("hour", "day")]
    others = [column for column in columns if column not in times]
    part = sums.order_by(*times, calls.desc(), *others).limit(query.limit).offset(query.offset)
    rows = [_row(row) for row in connection.execute(part)]
    total: int = connection.execute(select(func.count()).select_from(sums.subquery())).scalar_one()
    return rows, total


def remove_before(connection: Connection, hour: int) -> bool:
    """Remove some of the rows of earlier hours; says whether there were as many as are removed at once."""
    keys = [
        {f"key_{name}": value for name, value in row._mapping.items()}
        for row in connection.execute(_OLD, {"before": hour})
    ]
    if keys:
        connection.execute(_REMOVE, keys)
    return len(keys) == _REMOVED_AT_ONCE


def _row(row: Row[Any]) -> UsageRow:
    of = {name: value for name, value in row._mapping.items() if name not in ("calls", "bytes")}
    return UsageRow(of, int(row.calls), int(row.bytes))
