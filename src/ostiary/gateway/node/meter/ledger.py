"""What was counted since the last look. Pure: tables as they were read go in, what they gained comes out.

A worker of HAProxy counts upwards for as long as an entry lives. A value below the one seen last means that
the entry began again (it was not used for hours, or the table was full), so all of it is new. Each worker
counts for itself, whatever started it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Count(NamedTuple):
    """Calls and the bytes of their answers."""

    calls: int
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at one worker's table found."""

    worker: str
    """Which process: no later one has the same name."""
    changed: Mapping[str, Count]
    """What differs from the last look, as it is now."""
    gone: tuple[str, ...]
    """Keys the table no longer has."""
    gained: Mapping[str, Count]
    """What was counted since the last look."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened."""
        return not (self.changed or self.gone)


class Ledger:
    """What was seen last, by worker and key."""

    def __init__(self, seen: Mapping[str, Mapping[str, Count]] | None = None) -> None:
        self._seen = {worker: dict(counts) for worker, counts in (seen or {}).items()}

    @property
    def seen(self) -> Mapping[str, Mapping[str, Count]]:
        """What was seen last."""
        return self._seen

    @property
    def workers(self) -> frozenset[str]:
        """The workers of which something was seen."""
        return frozenset(self._seen)

    def compare(self, worker: str, table: Mapping[str, Count]) -> Reading:
        """Say what a worker's table has gained since the last look; nothing is remembered yet."""
        seen = self._seen.get(worker, {})
        changed = {key: count for key, count in table.items() if seen.get(key) != count}
        gone = tuple(key for key in seen if key not in table) if seen else ()
        gained = {key: gain(seen.get(key), count) for key, count in changed.items()}
        return Reading(worker, changed, gone, gained)

    def accept(self, reading: Reading) -> None:
        """Remember a reading once it is safe."""
        seen = self._seen.setdefault(reading.worker, {})
        seen.update(reading.changed)
        for key in reading.gone:
            seen.pop(key, None)

    def forget(self, workers: Iterable[str]) -> None:
        """Drop workers that have ended."""
        for worker in workers:
            self._seen.pop(worker, None)


def gain(before: Count | None, now: Count) -> Count:
    """Return what was counted between two looks at one entry."""
    if before is None or now.calls < before.calls:
        return now
    return Count(now.calls - before.calls, max(0, now.bytes - before.bytes))
