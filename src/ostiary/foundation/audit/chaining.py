"""The one writer of the audit log: takes what waits, and chains it organization by organization.

A record is canonical JSON (members sorted, no spaces, UTF-8) with its `sequence` and `previous`, the hash of
the record before; its own hash is SHA-256 over that text. Whoever starts the writer, one of them runs at a
time, in units of at most `AT_ONCE` records.
"""

import hashlib
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, bindparam, delete, insert, select, text

from ostiary.foundation.audit.checkpoints import HEAD, Head, latest_checkpoint
from ostiary.foundation.audit.sealing import PersonKeys
from ostiary.foundation.audit.tables import audit_log, audit_staged
from ostiary.foundation.secrets import SecretBox

AT_ONCE: Final = 200
START: Final = "0" * 64
"""What the first record names as the one before it."""
_LOCK: Final = 0x6175646974  # "audit"
_ANY = select(audit_staged.c.id).limit(1)
_WAITING = select(audit_staged).order_by(audit_staged.c.id).limit(bindparam("at_once"))
_TAKEN = delete(audit_staged).where(audit_staged.c.id.in_(bindparam("ids", expanding=True)))
_APPEND = insert(audit_log)


def has_staged(connection: Connection) -> bool:
    """Whether something waits to be chained."""
    return connection.execute(_ANY).first() is not None


def chain_staged(connection: Connection, box: SecretBox, at_once: int = AT_ONCE) -> dict[str, Head]:
    """Chain what waits; returns sequence and hash of the newest record of each chain that grew."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    waiting = connection.execute(_WAITING, {"at_once": at_once}).all()
    if not waiting:
        return {}
    heads = {}
    by_organization = sorted(waiting, key=attrgetter("organization_id", "id"))
    for organization_id, rows in groupby(by_organization, key=attrgetter("organization_id")):
        heads[organization_id] = _append(connection, box, organization_id, rows)
    connection.execute(_TAKEN, {"ids": [row.id for row in waiting]})
    return heads


def head(connection: Connection, organization_id: str) -> Head:
    """Sequence and hash of the newest record; where all are dropped, of the last one that was."""
    row = connection.execute(HEAD, {"organization_id": organization_id}).first()
    if row is not None:
        return int(row.sequence), str(row.hash)
    dropped = latest_checkpoint(connection, organization_id)
    return (0, START) if dropped is None else (dropped.sequence, dropped.hash)


def canonical(document: Any) -> str:
    """The text of a record that is hashed: members sorted, no spaces."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode()


def digest(document: str) -> str:
    """The hash of a record's text."""
    return hashlib.sha256(document.encode()).hexdigest()


def _append(
    connection: Connection, box: SecretBox, organization_id: str, rows: Iterable[Row[tuple[Any, ...]]]
) -> Head:
    keys = PersonKeys(connection, box, organization_id)
    last, previous = head(connection, organization_id)
    records = []
    for sequence, row in enumerate(rows, start=last + 1):
        document = keys.seal(orjson.loads(row.document))
        place = {"organization": organization_id, "sequence": sequence, "previous": previous}
        records.append(_row(organization_id, sequence, document | place))
        previous = records[-1]["hash"]
    connection.execute(_APPEND, records)
    return records[-1]["sequence"], previous


def _row(organization_id: str, sequence: int, document: dict[str, Any]) -> dict[str, Any]:
    written = canonical(document)
    return {
        "organization_id": organization_id,
        "sequence": sequence,
        "request_id": document.get("request_id"),
        "actor_id": document.get("actor", {}).get("id"),
        "target_id": document.get("target", {}).get("id"),
        "document": written,
        "hash": digest(written),
    }
