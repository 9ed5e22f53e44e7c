"""What gateway nodes have counted against limits, each told the sum of the others.

A node says once a second what it has counted in the windows that are open; one row a node holds what it said
last. A node that falls silent keeps its row, so what it let through stays counted until the windows end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from ostiary.gateway import repository
from ostiary.gateway.nodes import ALIVE


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the other nodes have counted."""

    nodes: int
    """Live ones, the one that asks included."""
    counts: Mapping[str, int]


def others_counts(connection: Connection, node_id: str, windows: Iterable[str], now: datetime) -> Elsewhere:
    """Sum what the other nodes said they counted in these windows: the part of a key after its last `|`."""
    nodes = max(1, repository.live_nodes(connection, now - ALIVE))
    wanted, sums = frozenset(windows), dict[str, int]()
    for text in repository.counts_of_others(connection, node_id):
        for key, count in json.loads(text).items():
            if key.rpartition("|")[2] in wanted:
                sums[key] = sums.get(key, 0) + count
    return Elsewhere(nodes, sums)


def note_counts(connection: Connection, node_id: str, counts: Mapping[str, int], now: datetime) -> None:
    """Write what a node has counted, instead of what it said before."""
    repository.put_counts(connection, node_id, json.dumps(dict(counts), separators=(",", ":")), now)
