"""Usage: how many calls an API served in an hour, for which application and subscription.

Gateway nodes count what they let through and report it; refused calls are no usage. What is reported about an
application or a subscription that is no longer there is counted for the API alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection

from ostiary.apim.errors import Invalid
from ostiary.apim.repository import usage as repository
from ostiary.apim.repository.usage import Owners, UsageQuery, UsageRow, Used

_SECONDS_IN_AN_HOUR: Final = 3600
DIMENSIONS: Final = ("api", "application", "subscription", "hour", "day")
"""What usage can be shown by."""

__all__ = ["DIMENSIONS", "UsageRow", "Used", "add_usage", "forget_usage", "hour_of", "read_usage"]


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of a report."""

    counted: int
    unknown: int
    """Rows about an API that is not there, or about things that do not belong together: not counted."""


def add_usage(connection: Connection, rows: Sequence[Used]) -> Counted:
    """Add what was called; an API's organization is found here, nobody can say it."""
    owners = repository.owners(connection, rows)
    checked = [row for row in (_checked(owners, row) for row in rows) if row is not None]
    repository.add(connection, owners, _merged(checked))
    return Counted(len(checked), len(rows) - len(checked))


def read_usage(connection: Connection, organization_id: str, query: UsageQuery) -> tuple[list[UsageRow], int]:
    """Return one part of the organization's usage, and how many rows the whole has.

    Raises:
        Invalid: an unknown dimension, `hour` beside `day`, or a time that ends before it begins.
    """
    for name in query.by:
        if name not in DIMENSIONS:
            raise Invalid("by", repr(name), "some of " + ", ".join(DIMENSIONS))
    if {"hour", "day"} <= set(query.by):
        raise Invalid("by", "hour and day", "one of the two")
    if query.to_hour <= query.from_hour:
        raise Invalid("to", "a time that is not after from", "a later one")
    return repository.read(connection, organization_id, query)


def forget_usage(connection: Connection, before: datetime) -> bool:
    """Remove a part of what is older than `before`; says whether more may be left."""
    return repository.remove_before(connection, hour_of(before))


def hour_of(moment: datetime) -> int:
    """Number the hour a moment is in, since 1970."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp()) // _SECONDS_IN_AN_HOUR


def _checked(owners: Owners, row: Used) -> Used | None:
    """The row with what is still there, or `None` where it claims what cannot be."""
    organization = owners.apis.get(row.api_id)
    if organization is None:
        return None
    application, subscription = row.application_id, row.subscription_id
    if application and owners.applications.get(application, organization) != organization:
        return None
    expected = (organization, application, row.api_id)
    if subscription and owners.subscriptions.get(subscription, expected) != expected:
        return None
    return replace(
        row,
        application_id=application if application in owners.applications else "",
        subscription_id=subscription if subscription in owners.subscriptions else "",
    )


def _merged(rows: Iterable[Used]) -> list[Used]:
    """One row for each key: a statement cannot change the same row twice."""
    merged: dict[tuple[int, str, str, str], Used] = {}
    for row in rows:
        key = (row.hour, row.api_id, row.application_id, row.subscription_id)
        before = merged.get(key)
        merged[key] = (
            row
            if before is None
            else replace(row, calls=before.calls + row.calls, bytes=before.bytes + row.bytes)
        )
    return list(merged.values())
