"""Gateway nodes and their keys in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from ostiary.gateway.tables import gateway_node_keys, gateway_nodes


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


@dataclass(frozen=True, slots=True)
class NodeKeyRecord:
    """A public key with which a node signs backend JWTs."""

    kid: str
    jwk: Mapping[str, Any]
    state: str


def add_node(connection: Connection, node: NodeRecord, fingerprint: str, now: datetime) -> None:
    """Write a new node."""
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
    row = connection.execute(select(gateway_nodes).where(gateway_nodes.c.id == node_id)).first()
    return None if row is None else _node(row)


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


def all_keys(connection: Connection) -> list[NodeKeyRecord]:
    """The keys of every node, the oldest first."""
    columns = (gateway_node_keys.c.kid, gateway_node_keys.c.jwk, gateway_node_keys.c.state)
    query = select(*columns).order_by(gateway_node_keys.c.registered_at, gateway_node_keys.c.kid)
    return [NodeKeyRecord(row.kid, row.jwk, row.state) for row in connection.execute(query)]


def _node(row: Row[Any]) -> NodeRecord:
    return NodeRecord(row.id, row.name, row.rotation, row.acknowledged, row.seen_at)
