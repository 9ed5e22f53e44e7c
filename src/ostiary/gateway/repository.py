"""Gateway nodes and their keys in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ostiary.foundation.database import Instant
from ostiary.gateway.tables import (
    gateway_authority,
    gateway_counts,
    gateway_node_keys,
    gateway_nodes,
    gateway_usage_reports,
)


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """An enrolled gateway node."""

    id: str
    name: str
    rotation: int
    """When its own key's rotation number is lower, it makes a new key."""
    acknowledged: int
    """The plan number it last said it has."""
    seen_at: datetime | None
    enrolled_at: datetime | None = None
    """`None` while its one-time token waits to be used."""
    enrolment_expires_at: datetime | None = None
    is_embedded: bool = False
    """It runs inside `ostiary serve`, proves itself with a credential and cannot be removed."""


@dataclass(frozen=True, slots=True)
class AuthorityRecord:
    """The authority that certifies gateway nodes, its key sealed."""

    certificate: str
    sealed_key: str


# Composed once: putting a statement together costs more than running it.
_BY_ID = select(gateway_nodes).where(gateway_nodes.c.id == bindparam("id"))
_OUTSIDE = gateway_nodes.c.credential_fingerprint.is_(None)
_BY_NAME = select(gateway_nodes).where(gateway_nodes.c.name == bindparam("name"), _OUTSIDE)
_ALL = select(gateway_nodes).order_by(gateway_nodes.c.name, gateway_nodes.c.id)
_CONSUME = (
    update(gateway_nodes)
    .where(
        gateway_nodes.c.enrolment_fingerprint == bindparam("fingerprint"),
        gateway_nodes.c.enrolment_expires_at > bindparam("now"),
        gateway_nodes.c.enrolled_at.is_(None),
    )
    .values(enrolment_fingerprint=None, enrolled_at=bindparam("now"))
    .returning(*gateway_nodes.c)
)
_AUTHORITY = select(gateway_authority)
_KEYS_LOCK: Final = 0x6E6F6465  # "node"


@dataclass(frozen=True, slots=True)
class NodeKeyRecord:
    """A public key with which a node signs backend JWTs."""

    kid: str
    jwk: Mapping[str, Any]
    state: str


# Composed once. One statement decides who counts a report that arrives twice at the same time.
_NOTE_REPORT = {
    dialect: statement.on_conflict_do_update(
        index_elements=["node_id"],
        set_={"stream": statement.excluded.stream, "sequence": statement.excluded.sequence},
        where=(gateway_usage_reports.c.stream != statement.excluded.stream)
        | (gateway_usage_reports.c.sequence < statement.excluded.sequence),
    ).execution_options(preserve_rowcount=True)
    for dialect, statement in (
        ("postgresql", postgresql_insert(gateway_usage_reports)),
        ("sqlite", sqlite_insert(gateway_usage_reports)),
    )
}


_PUT_COUNTS = {
    dialect: statement.on_conflict_do_update(
        index_elements=["node_id"],
        set_={"counts": statement.excluded.counts, "counted_at": statement.excluded.counted_at},
    )
    for dialect, statement in (
        ("postgresql", postgresql_insert(gateway_counts)),
        ("sqlite", sqlite_insert(gateway_counts)),
    )
}
_COUNTS_OF_OTHERS = select(gateway_counts.c.counts).where(gateway_counts.c.node_id != bindparam("node_id"))
_LIVE = select(func.count()).where(gateway_nodes.c.seen_at > bindparam("seen_after", type_=Instant))


def add_embedded_node(connection: Connection, node: NodeRecord, fingerprint: str, now: datetime) -> None:
    """Write a new node that has a credential already."""
    row = {
        "id": node.id,
        "name": node.name,
        "credential_fingerprint": fingerprint,
        "rotation": node.rotation,
        "acknowledged": node.acknowledged,
        "enrolled_at": now,
    }
    connection.execute(insert(gateway_nodes).values(row))


def find_node_by_fingerprint(connection: Connection, fingerprint: str) -> NodeRecord | None:
    """The node with that credential."""
    query = select(gateway_nodes).where(gateway_nodes.c.credential_fingerprint == fingerprint)
    row = connection.execute(query).first()
    return None if row is None else _node(row)


def find_node(connection: Connection, node_id: str) -> NodeRecord | None:
    """The node of that identifier."""
    row = connection.execute(_BY_ID, {"id": node_id}).first()
    return None if row is None else _node(row)


def find_node_by_name(connection: Connection, name: str) -> NodeRecord | None:
    """The node on a machine of its own, enrolled or not, that has this name."""
    row = connection.execute(_BY_NAME, {"name": name}).first()
    return None if row is None else _node(row)


def all_nodes(connection: Connection) -> list[NodeRecord]:
    """Every node, by name."""
    return [_node(row) for row in connection.execute(_ALL)]


def put_waiting_node(
    connection: Connection, node: NodeRecord, fingerprint: str, expires_at: datetime, now: datetime
) -> None:
    """Write a node that may enrol with a token; one that waits already gets the new token instead."""
    values = {"enrolment_fingerprint": fingerprint, "enrolment_expires_at": expires_at}
    here = gateway_nodes.c.id == node.id
    if connection.execute(update(gateway_nodes).where(here).values(values)).rowcount == 0:
        row = {"id": node.id, "name": node.name, "rotation": 0, "acknowledged": 0, "added_at": now}
        connection.execute(insert(gateway_nodes).values(**row, **values))


def consume_enrolment(connection: Connection, fingerprint: str, now: datetime) -> NodeRecord | None:
    """Enrol whoever waits with this token, once; `None` where nobody does (any more)."""
    row = connection.execute(_CONSUME, {"fingerprint": fingerprint, "now": now}).first()
    return None if row is None else _node(row)


def remove_node(connection: Connection, node_id: str) -> None:
    """Delete a node, its keys and what it said."""
    for table in (gateway_counts, gateway_usage_reports):
        connection.execute(delete(table).where(table.c.node_id == node_id))
    connection.execute(delete(gateway_node_keys).where(gateway_node_keys.c.node_id == node_id))
    connection.execute(delete(gateway_nodes).where(gateway_nodes.c.id == node_id))


def find_authority(connection: Connection) -> AuthorityRecord | None:
    """The authority that certifies nodes."""
    row = connection.execute(_AUTHORITY).first()
    return None if row is None else AuthorityRecord(row.certificate, row.sealed_key)


def add_authority(connection: Connection, id: str, authority: AuthorityRecord, now: datetime) -> None:
    """Write the authority."""
    row = {"id": id, "certificate": authority.certificate, "sealed_key": authority.sealed_key}
    connection.execute(insert(gateway_authority).values(**row, created_at=now))


def raise_rotation(connection: Connection) -> list[str]:
    """Raise every node's rotation number; returns the nodes."""
    statement = update(gateway_nodes).values(rotation=gateway_nodes.c.rotation + 1)
    return list(connection.execute(statement.returning(gateway_nodes.c.id)).scalars())


def note_seen(connection: Connection, node_id: str, acknowledged: int, now: datetime) -> None:
    """Write which plan a node has and that it is alive."""
    here = gateway_nodes.c.id == node_id
    connection.execute(update(gateway_nodes).where(here).values(acknowledged=acknowledged, seen_at=now))


def lowest_acknowledged(connection: Connection, seen_after: datetime) -> int | None:
    """The lowest plan number among the nodes seen lately; `None` when there are none."""
    query = select(func.min(gateway_nodes.c.acknowledged)).where(gateway_nodes.c.seen_at > seen_after)
    found: int | None = connection.execute(query).scalar()
    return found


def note_report(connection: Connection, node_id: str, stream: str, sequence: int) -> bool:
    """Note the number of a node's usage report; False where it, or a later one, was noted before."""
    row = {"node_id": node_id, "stream": stream, "sequence": sequence}
    return bool(connection.execute(_NOTE_REPORT[connection.dialect.name], row).rowcount)


def put_counts(connection: Connection, node_id: str, counts: str, now: datetime) -> None:
    """Write what a node has counted."""
    row = {"node_id": node_id, "counts": counts, "counted_at": now}
    connection.execute(_PUT_COUNTS[connection.dialect.name], row)


def counts_of_others(connection: Connection, node_id: str) -> list[str]:
    """What every other node said last that it has counted."""
    return list(connection.execute(_COUNTS_OF_OTHERS, {"node_id": node_id}).scalars())


def live_nodes(connection: Connection, seen_after: datetime) -> int:
    """How many nodes were seen lately."""
    found: int = connection.execute(_LIVE, {"seen_after": seen_after}).scalar_one()
    return found


def lock_keys(connection: Connection) -> None:
    """Let nobody else who locks them read or write keys of nodes until this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _KEYS_LOCK})


def replace_keys(connection: Connection, node_id: str, keys: Sequence[NodeKeyRecord], now: datetime) -> None:
    """Write the keys of a node; those it no longer names go."""
    kids = [key.kid for key in keys]
    mine = gateway_node_keys.c.node_id == node_id
    connection.execute(delete(gateway_node_keys).where(mine, gateway_node_keys.c.kid.not_in(kids)))
    for key in keys:
        here = mine & (gateway_node_keys.c.kid == key.kid)
        changed = connection.execute(update(gateway_node_keys).where(here).values(state=key.state))
        if changed.rowcount == 0:
            row = {"kid": key.kid, "node_id": node_id, "jwk": dict(key.jwk), "state": key.state}
            connection.execute(insert(gateway_node_keys).values(**row, registered_at=now))


def owners_of_keys(connection: Connection, kids: Sequence[str]) -> dict[str, str]:
    """Which node has registered each of these keys."""
    columns = (gateway_node_keys.c.kid, gateway_node_keys.c.node_id)
    rows = connection.execute(select(*columns).where(gateway_node_keys.c.kid.in_(kids)))
    return {row.kid: row.node_id for row in rows}


def other_keys_in_use(
    connection: Connection, node_id: str, kids: Sequence[str], seen_after: datetime
) -> list[str]:
    """Published keys that are not among these: of another node, seen or registered since, or of this one."""
    nodes, registered_at = gateway_nodes.c, gateway_node_keys.c.registered_at
    query = (
        select(gateway_node_keys.c.kid)
        .join(gateway_nodes, nodes.id == gateway_node_keys.c.node_id)
        .where(
            gateway_node_keys.c.kid.not_in(kids),
            (nodes.id == node_id) | (nodes.seen_at > seen_after) | (registered_at > seen_after),
        )
    )
    return list(connection.execute(query).scalars())


def all_keys(connection: Connection) -> list[NodeKeyRecord]:
    """The keys of every node, the oldest first."""
    columns = (gateway_node_keys.c.kid, gateway_node_keys.c.jwk, gateway_node_keys.c.state)
    query = select(*columns).order_by(gateway_node_keys.c.registered_at, gateway_node_keys.c.kid)
    return [NodeKeyRecord(row.kid, row.jwk, row.state) for row in connection.execute(query)]


def _node(row: Row[Any]) -> NodeRecord:
    return NodeRecord(
        id=row.id,
        name=row.name,
        rotation=row.rotation,
        acknowledged=row.acknowledged,
        seen_at=row.seen_at,
        enrolled_at=row.enrolled_at,
        enrolment_expires_at=row.enrolment_expires_at,
        is_embedded=row.credential_fingerprint is not None,
    )
