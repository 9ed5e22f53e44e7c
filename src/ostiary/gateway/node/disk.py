"""What the agent writes: the last plan, HAProxy's map files, its keys.

None of it is needed to decide, so a full disk stops nothing: what could not be written waits and is written
later, and what is on disk stays consistent. A change is added to the stored plan only when it follows the one
that is there; otherwise what is missing is asked for again, so that a restart never forgets a revocation.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.node import keys
from ostiary.gateway.node.store import NodeStore, StoreUnwritable
from ostiary.gateway.node.structure import Structure
from ostiary.gateway.plan import Entry, GatewayPlan, PlanAnswer

_log = get_logger(__name__)
WAITING_AT_MOST: Final = 50_000
"""Entries of the plan kept for a disk that cannot be written; some 50 MB."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    answer: PlanAnswer
    follows: int
    at: float


class Disk:
    """The files of a node. Its methods do not raise for a disk that is full or gone; `is_failing` says so."""

    def __init__(self, own: Path, structure: Structure) -> None:
        """Open what there is."""
        self._store = NodeStore(own / "node.db")
        self._structure = structure
        self._keys_file = own / "keys.json"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="node-store")
        self._troubles: dict[str, str] = {}
        self._waiting: deque[_Waiting] = deque()
        self._writing = asyncio.Lock()
        self._is_another = False
        """Whether the plan on disk is not the one in memory at an earlier number."""

    @property
    def is_failing(self) -> bool:
        """Whether something waits to be written that could not be."""
        return bool(self._troubles)

    def is_behind(self, number: int) -> bool:
        """Whether something up to `number` is neither on disk nor waiting: it has to be asked for again."""
        return not self._waiting and self.stored_number < number

    @property
    def stored_number(self) -> int:
        """How far the plan on disk goes; 0 when it is of no use."""
        return 0 if self._is_another else self._store.number

    @property
    def contacted_at(self) -> float:
        """When (seconds since 1970) a control plane was last noted to have answered."""
        return self._store.contacted_at()

    def load_plan(self) -> GatewayPlan:
        """Return the last plan; an empty one (number 0) when there is none that can be read."""
        return self._store.load()

    def load_keys(self) -> keys.KeyRing:
        """Return the node's own keys; an empty ring when there is none."""
        return keys.load(self._keys_file)

    def keep_keys(self, ring: keys.KeyRing) -> bool:
        """Write the node's own keys; says whether they are on disk."""
        return self._try("keys", lambda: keys.save(self._keys_file, ring))

    def write_maps(self) -> bool:
        """Write the map files that differ from the truth; says whether all are."""
        return self._try("maps", self._structure.write)

    async def keep(self, answer: PlanAnswer, follows: int, now: float) -> None:
        """Add an answer to the stored plan, after those that wait."""
        self._waiting.append(_Waiting(answer, follows, now))
        if sum(1 + len(one.answer.entries) for one in self._waiting) > WAITING_AT_MOST:
            self._waiting.clear()  # asked for again when there is room
        await self.write_plan()

    async def write_plan(self) -> None:
        """Write the answers that wait, in order; one that does not follow what is there is passed over."""
        async with self._writing:
            while self._waiting:
                one = self._waiting[0]
                follows = one.follows == self.stored_number
                if follows and not await self._in_thread(partial(self._store.apply, one.answer, one.at)):
                    return
                self._waiting.popleft()

    async def stage(self, entries: Sequence[Entry], *, first: bool) -> None:
        """Write entries of the plan that is being copied, aside."""
        async with self._writing:
            await self._in_thread(partial(self._store.stage, entries, first=first))

    async def adopt(self, number: int, now: float) -> None:
        """Let the plan that was copied be the one on disk; what waits was of the one before."""
        async with self._writing:
            self._waiting.clear()
            self._is_another = not await self._in_thread(partial(self._store.adopt, number, now))

    async def note_contact(self, now: float) -> None:
        """Write when a control plane answered."""
        await self._in_thread(lambda: self._store.note_contact(now))

    def close(self) -> None:
        """Let go of the files."""
        self._thread.shutdown()
        self._store.close()

    async def _in_thread(self, work: Callable[[], None]) -> bool:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: self._try("plan", work))

    def _try(self, what: str, work: Callable[[], None]) -> bool:
        """Say once that something cannot be written, and once that it can be again."""
        try:
            work()
        except (OSError, StoreUnwritable) as error:
            if what not in self._troubles:
                advice = (
                    "it goes on by its memory and tries again; see that its disk has room and can be written"
                )
                _log.error("node_disk_failing", what=what, reason=str(error), advice=advice)
            self._troubles[what] = str(error)
            return False
        if self._troubles.pop(what, None) is not None:
            _log.info("node_disk_writable_again", what=what)
        return True
