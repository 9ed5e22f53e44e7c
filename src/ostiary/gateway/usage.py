"""What gateway nodes report as called. A report has a number: it counts once, however often it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from ostiary import apim
from ostiary.gateway import repository


@dataclass(frozen=True, slots=True)
class Report:
    """One part of what a node has counted."""

    stream: str
    """Names the row of numbers; a node whose file was lost begins a new one."""
    sequence: int
    usage: Sequence[apim.Used]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a report."""

    repeated: bool
    counted: int = 0
    unknown: int = 0


def take_report(connection: Connection, node_id: str, report: Report) -> Taken:
    """Count a report unless it was counted already; its number and its counts are one transaction."""
    if not repository.note_report(connection, node_id, report.stream, report.sequence):
        return Taken(repeated=True)
    result = apim.add_usage(connection, report.usage)
    return Taken(repeated=False, counted=result.counted, unknown=result.unknown)
