"""Looks at every live worker's tables again and again, and writes down what they gained.

Blocking: all of it runs on one thread of the agent. A look that fails changes nothing; the next one finds the
same and more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.node.meter.ledger import Count, Ledger, Reading
from ostiary.gateway.node.meter.reading import USAGE, Line, Lines, NotReadable, Standing
from ostiary.gateway.node.meter.store import CountStore
from ostiary.gateway.node.meter.windows import LONG, MINUTES, Windows
from ostiary.gateway.node.runtime import Worker

_log = get_logger(__name__)
READ_EVERY: Final = 1.0
_READ_FOR_OTHERS_EVERY: Final = 0.25
"""Seconds between two readings, alone and where other nodes want to know."""
_SHARE: Final = 10
"""Reading takes one part in so many of the time, however large the tables are, """
_LONGEST_PAUSE: Final = 5.0
"""unless that would be longer than so many seconds."""
_SECONDS_IN_AN_HOUR: Final = 3600


class Counting:
    """What this node has counted."""

    def __init__(
        self, lines: Lines, store: CountStore, now: Callable[[], float], ticks: Callable[[], float]
    ) -> None:
        """`now` is seconds since 1970; `ticks` measures how long something takes."""
        self._lines = lines
        self._store = store
        self._now = now
        self._ticks = ticks
        self._ledger = Ledger(store.seen())
        self._kept = store.kept()
        self.windows = Windows(self._kept)
        self.has_others = False
        """Whether other nodes want to know: then minutes are read too."""
        self._open: dict[int, Line] = {}
        self._names: dict[int, str] = {}
        self._finished: set[int] = set()
        """Workers that are ending and have nothing more to count."""
        self._is_told = False
        self._read_again_at = 0.0
        self.has_read_current = False
        """Whether the last look that was due could read what the current worker counts against limits."""

    def look(self, *, now: bool = False) -> None:
        """See how the workers are doing; read their tables when it is time, and of those that stop each time.

        A worker that stops and has finished is let go after it was read. With `now` it is time.
        """
        started = self._ticks()
        is_due = now or started >= self._read_again_at
        workers = self._list()
        readings: list[Reading] = []
        done: list[int] = []
        for worker in workers:
            with suppress(NotReadable):
                readings += self._visit(worker, is_due, done)
        ended = self._ended({worker.pid for worker in workers})
        if is_due:
            self.has_read_current = self._read_windows(workers)
        changes = [reading for reading in readings if not reading.is_empty]
        if changes or ended:
            self._store.note(changes, ended, int(self._now()) // _SECONDS_IN_AN_HOUR)
        for reading in changes:
            self._ledger.accept(reading)
        self._ledger.forget(ended)
        for pid in done:  # what it counted is safe
            self._let_go(pid)
            self._finished.add(pid)
        if is_due:
            finished = self._ticks()
            pause = min(_LONGEST_PAUSE, _SHARE * (finished - started))
            every = _READ_FOR_OTHERS_EVERY if self.has_others else READ_EVERY
            self._read_again_at = max(started + every, finished + pause)

    def seen(self) -> Mapping[str, Mapping[str, Count]]:
        """What each worker that may still count had counted when it was last read."""
        return self._ledger.seen

    def close(self) -> None:
        """Let go of every worker and of the file."""
        for pid in list(self._open):
            self._let_go(pid)
        self._store.close()

    def _list(self) -> list[Worker]:
        """The workers the master names, and those that answer us: while it reloads it names none."""
        try:
            listed = {worker.pid: worker for worker in self._lines.workers()}
        except NotReadable:
            listed = {}
        self._is_told = bool(listed)
        return [*listed.values(), *(Worker(pid, old=True) for pid in self._open if pid not in listed)]

    def _visit(self, worker: Worker, is_due: bool, done: list[int]) -> list[Reading]:
        if worker.pid in self._finished:
            return []
        line = self._open.get(worker.pid) or self._lines.open(worker)
        if line is None:
            return []
        self._open[worker.pid] = line
        try:
            standing = line.standing()
            self._names[worker.pid] = standing.name
            has_finished = standing.stopping and self._has_finished(worker, line, standing)
            readings = self._read(line, standing) if is_due or standing.stopping else []
        except NotReadable:
            self._let_go(worker.pid)
            raise
        if has_finished:
            done.append(worker.pid)
        return readings

    def _has_finished(self, worker: Worker, line: Line, standing: Standing) -> bool:
        """Whether nothing more is counted: nobody is connected, or all of HAProxy stops and nobody calls.

        Who is only connected may still call while another worker takes what is new, but holds up no stop.
        """
        return standing.connections == 0 or (not worker.old and not line.has_calls())

    def _read(self, line: Line, standing: Standing) -> list[Reading]:
        return [self._ledger.compare(standing.name, line.table(USAGE))]

    def _read_windows(self, workers: list[Worker]) -> bool:
        """Read what the current worker has counted against limits; the master names it first."""
        current = next((one for one in workers if not one.old and one.pid in self._open), None)
        if current is None or current.pid not in self._names:
            return False
        try:
            counts = self._counted_against_limits(self._open[current.pid])
            succeeds = any(one.old and one.pid in self._open for one in workers)
            self.windows.read(self._names[current.pid], counts, self._now(), succeeds=succeeds)
            kept = self.windows.kept()
            self._store.keep(self._kept, kept)
            self._kept = kept
        except NotReadable:
            return False
        return True

    def _counted_against_limits(self, line: Line) -> dict[str, int]:
        found: dict[str, int] = {}
        for name in (*LONG, *(MINUTES if self.has_others else ())):
            is_size = name.startswith("bytes_")
            for key, count in line.table(name).items():
                found[f"bytes:{key}" if is_size else key] = sum(count) // 1024 if is_size else count.calls
        return found

    def _ended(self, there: set[int]) -> list[str]:
        """Name the workers that are no more; none while somebody cannot say who is."""
        self._names = {pid: name for pid, name in self._names.items() if pid in there}
        if not self._is_told or len(self._names) < len(there):
            return []
        self._finished &= there
        return sorted(self._ledger.workers - set(self._names.values()))

    def _let_go(self, pid: int) -> None:
        line = self._open.pop(pid, None)
        if line is not None:
            line.close()
