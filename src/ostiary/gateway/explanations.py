"""Why requests were refused, kept for a while: told by gateway nodes and workers, read by administrators.

A row belongs to the organization of the request's URL, and only its administrators and the local one are
shown it. The table is bounded by time and by number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ostiary.gateway.errors import UnknownExplanation
from ostiary.gateway.tables import explanations
from ostiary.organizations import DEFAULT_ORGANIZATION, find

AT_MOST: Final = 50_000
_INSERTS: Final = {
    name: insert(explanations).on_conflict_do_nothing(index_elements=["request_id"])
    for name, insert in (("postgresql", postgresql_insert), ("sqlite", sqlite_insert))
}
_FIND: Final = select(explanations.c.organization_id, explanations.c.document).where(
    explanations.c.request_id == bindparam("wanted")
)
_OLDEST_KEPT: Final = (
    select(explanations.c.told_at).order_by(explanations.c.told_at.desc()).offset(AT_MOST).limit(1)
)
_FORGET: Final = delete(explanations).where(explanations.c.told_at <= bindparam("until"))


def note_explanations(connection: Connection, told: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Keep why requests were refused; each document names its `request_id` and `organization`.

    What names no organization of ours is the default one's. Told twice is kept once.
    """
    ids = {name: _organization_id(connection, name) for name in {one["organization"] for one in told}}
    default = _organization_id(connection, DEFAULT_ORGANIZATION)
    rows = [
        {
            "request_id": one["request_id"],
            "organization_id": ids[one["organization"]] or default or "",
            "told_at": now,
            "document": dict(one),
        }
        for one in told
    ]
    if rows:
        connection.execute(_INSERTS[connection.dialect.name], rows)


def find_explanation(
    connection: Connection, organization_id: str | None, request_id: str
) -> Mapping[str, Any]:
    """Return what is known of a request of this organization; with `None`, of any.

    Raises:
        UnknownExplanation: nothing is known, or it is another organization's.
    """
    row = connection.execute(_FIND, {"wanted": request_id}).first()
    if row is None or organization_id not in (None, row.organization_id):
        raise UnknownExplanation(request_id)
    document: Mapping[str, Any] = row.document
    return document


def forget_explanations(connection: Connection, now: datetime, kept: timedelta) -> None:
    """Drop what is too old, and the oldest of what is too much."""
    until = now - kept
    oldest = connection.execute(_OLDEST_KEPT).scalar()
    connection.execute(_FORGET, {"until": until if oldest is None else max(until, oldest)})


def _organization_id(connection: Connection, name: str) -> str | None:
    found = find(connection, name)
    return None if found is None else found.id
