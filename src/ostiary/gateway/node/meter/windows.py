"""How much of each limit is used up where HAProxy's current worker cannot see it. Pure.

A worker knows what it counted, and over a reload what the one before it counted. It does not know what was
counted before a crash, nor what other nodes count. Both are told to it in the same maps
(`haproxy/counts.lua`).
Keys are those of the stick tables, `what|number of the window`; those of bandwidth begin with `bytes:`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from ostiary.gateway.haproxy import OTHERS_MODE, MapEntry, others_entry, others_mode

MINUTES: Final = ("per_minute", "bytes_per_minute")
LONG: Final = ("per_day", "per_month", "bytes_per_day", "bytes_per_month")
"""The tables of windows that outlive a crash; hours are kept with the days."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is written down of the current windows: by key what the worker had counted, and what it missed."""

    worker: str = ""
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class Windows:
    """Counts of the current windows."""

    def __init__(self, kept: Kept) -> None:
        self._worker = kept.worker
        self._waiting_for = ""
        self._own = {key: own for key, (own, _) in kept.counts.items()}
        self._missing = {key: missing for key, (_, missing) in kept.counts.items() if missing}
        self._foreign: Mapping[str, int] = {}
        self._share_of = 0
        self._when_shared: Mapping[str, int] = {}
        self._is_drawn = False
        self._published: dict[str, MapEntry] = {}

    def read(self, worker: str, counts: Mapping[str, int], now: float, *, succeeds: bool) -> None:
        """Take what the current worker has counted.

        With `succeeds` the worker before it still lives and may be teaching it what it counted: then the
        first reading is not to be relied on.
        """
        live = current_windows(now)
        self._is_drawn = False
        if worker != self._worker:
            if succeeds and self._waiting_for != worker:
                self._waiting_for = worker
                return
            used = {key: count for key, count in self.totals().items() if is_current(key, live)}
            lost = {key: count - counts.get(key, 0) for key, count in used.items()}
            self._missing = {key: count for key, count in lost.items() if count > 0}
            self._worker, self._waiting_for = worker, ""
        else:
            for key in self._own.keys() - counts.keys():  # HAProxy forgets a month after 24 days of silence
                self._missing[key] = self._missing.get(key, 0) + self._own[key]
        self._own = {key: count for key, count in counts.items() if is_current(key, live)}
        self._missing = {key: count for key, count in self._missing.items() if is_current(key, live)}
        self._foreign = {key: count for key, count in self._foreign.items() if is_current(key, live)}
        self._when_shared = {key: count for key, count in self._when_shared.items() if is_current(key, live)}

    def totals(self) -> dict[str, int]:
        """What this node has counted, all its workers together."""
        keys = self._own.keys() | self._missing.keys()
        return {key: self._own.get(key, 0) + self._missing.get(key, 0) for key in keys}

    def hear(self, foreign: Mapping[str, int], now: float) -> None:
        """Take the sums of the other nodes."""
        live = current_windows(now)
        self._foreign = {key: count for key, count in foreign.items() if is_current(key, live)}
        self._share_of, self._when_shared, self._is_drawn = 0, {}, False

    def share(self, nodes: int) -> None:
        """Give this node its part of whatever is left now, because nobody says what others count."""
        if self._share_of or nodes <= 1:
            return
        self._share_of, self._when_shared, self._is_drawn = nodes, self.totals(), False

    def kept(self) -> Kept:
        """What is to be written down; minutes are not worth it."""
        keys = self._own.keys() | self._missing.keys()
        return Kept(self._worker, {key: (self._own.get(key, 0), self._missing.get(key, 0)) for key in keys})

    def changes(self) -> list[MapEntry]:
        """Return what differs in HAProxy's maps since the last time."""
        if self._is_drawn:
            return []
        wanted = {entry.key: entry for entry in self._entries()}
        before, self._published, self._is_drawn = self._published, wanted, True
        gone = [MapEntry(entry.map, key, None) for key, entry in before.items() if key not in wanted]
        return [*(entry for key, entry in wanted.items() if before.get(key) != entry), *gone]

    def content(self, name: str) -> list[tuple[str, str]]:
        """Return what a map has to hold now."""
        published = self._published
        return [
            (one.key, one.value) for one in published.values() if one.map == name and one.value is not None
        ]

    def _entries(self) -> Iterable[MapEntry]:
        missing, then = self._missing, self._when_shared
        keys = missing.keys() | self._foreign.keys() | then.keys()
        entries = [
            others_entry(
                key,
                self._foreign.get(key, 0) + missing.get(key, 0),
                then.get(key, 0) - missing.get(key, 0) if self._share_of else 0,
            )
            for key in keys
        ]
        return [*entries, others_mode(self._share_of)] if entries or self._share_of else ()


def current_windows(now: float) -> frozenset[str]:
    """Number the windows that are open, as `haproxy/windows.lua` does: minute, hour, day and month."""
    today = datetime.fromtimestamp(now, UTC)
    numbers = (int(now) // 60, int(now) // 3600, int(now) // 86400, today.year * 12 + today.month - 1)
    return frozenset(str(number) for number in numbers)


def is_current(key: str, live: frozenset[str]) -> bool:
    """Whether a key is of a window that is open."""
    return key != OTHERS_MODE and key.rpartition("|")[2] in live
