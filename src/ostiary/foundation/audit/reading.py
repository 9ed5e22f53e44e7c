"""Reading the audit log: pages for administrators, everything for an export."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import CompoundSelect, Connection, select, union

from ostiary.foundation.audit.sealing import PersonKeys
from ostiary.foundation.audit.tables import audit_log
from ostiary.foundation.secrets import SecretBox


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: after a sequence number, and of a request or about a subject where that is said."""

    after: int = 0
    limit: int | None = None
    request_id: str | None = None
    concerning: str | None = None
    """Who acted or what was acted on, by identifier."""


def read_records(
    connection: Connection, box: SecretBox, organization_id: str, wanted: Wanted
) -> Iterator[dict[str, Any]]:
    """The organization's records in their order, people's own opened; who is erased stays so.

    Each has the `hash` of its sealed form. Read as they are fetched, from one snapshot.
    """
    query = select(audit_log.c.document, audit_log.c.hash).where(
        audit_log.c.organization_id == organization_id, audit_log.c.sequence > wanted.after
    )
    if wanted.request_id is not None:
        query = query.where(audit_log.c.request_id == wanted.request_id)
    if wanted.concerning is not None:
        query = query.where(audit_log.c.sequence.in_(_concerning(organization_id, wanted.concerning)))
    keys = PersonKeys(connection, box, organization_id)
    rows = connection.execution_options(yield_per=500).execute(
        query.order_by(audit_log.c.sequence).limit(wanted.limit)
    )
    for row in rows:
        yield {**keys.open(orjson.loads(row.document)), "hash": row.hash}


def _concerning(organization_id: str, key: str) -> CompoundSelect[tuple[int]]:
    """Each half by its own index, however long the log is."""
    here = select(audit_log.c.sequence).where(audit_log.c.organization_id == organization_id)
    return union(here.where(audit_log.c.actor_id == key), here.where(audit_log.c.target_id == key))


def sealed_records(connection: Connection, organization_id: str, after: int = 0) -> Iterator[str]:
    """Each record's text exactly as it was hashed: what somebody else can verify without any key."""
    query = select(audit_log.c.document).where(
        audit_log.c.organization_id == organization_id, audit_log.c.sequence > after
    )
    rows = connection.execution_options(yield_per=500).execute(query.order_by(audit_log.c.sequence))
    return (row.document for row in rows)
