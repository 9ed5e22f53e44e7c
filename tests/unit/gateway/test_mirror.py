"""What the mirror does when HAProxy comes, goes or refuses.

With the real HAProxy: tests/system/test_gateway_node.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from ostiary.gateway.haproxy import PLAN_KEY, PLAN_MAP, MapEntry
from ostiary.gateway.node.mirror import Mirror
from ostiary.gateway.node.runtime import RuntimeRefused, RuntimeUnavailable, Worker

DECISIONS = "decisions-00.map"
"""May come after a worker has begun to serve: what is missing is asked for."""
ROUTES = "routes-00.map"
"""May not."""


@dataclass
class Workers:
    """HAProxy workers as dictionaries, and what goes wrong with them."""

    maps: dict[int, dict[tuple[str, str], str]] = field(default_factory=dict)
    gone: bool = False
    fails_once: set[int] = field(default_factory=set)
    refuses: set[str] = field(default_factory=set)
    opened_early: bool = False

    def start(self, pid: int, **held: str) -> None:
        self.maps[pid] = {(DECISIONS, key): value for key, value in held.items()}

    async def workers(self) -> list[Worker]:
        if self.gone:
            raise RuntimeUnavailable("no socket")
        return [Worker(pid, old=False) for pid in self.maps]

    async def apply(self, changes: Sequence[MapEntry], *, pid: int | None = None) -> None:
        assert pid is not None
        await self._may_fail(pid)
        for change in changes:
            if change.key in self.refuses:
                raise RuntimeRefused("too long")
            if change.value is None:
                self.maps.get(pid, {}).pop((change.map, change.key), None)
            else:
                self.maps.get(pid, {})[(change.map, change.key)] = change.value

    async def replace(self, maps: Mapping[str, Sequence[tuple[str, str]]], *, pid: int | None = None) -> None:
        assert pid is not None
        await self._may_fail(pid)
        held = self.maps.get(pid, {})
        self.opened_early |= (PLAN_MAP, PLAN_KEY) in held and ROUTES in maps
        for key in [key for key in held if key[0] in maps]:
            del held[key]
        held.update({(name, key): value for name, content in maps.items() for key, value in content})

    async def sizes(self, pid: int) -> Mapping[str, int]:
        return Counter(name for name, _ in self.maps.get(pid, {}))

    async def _may_fail(self, pid: int) -> None:
        await asyncio.sleep(0)
        if self.gone or pid in self.fails_once:
            self.fails_once.discard(pid)
            raise RuntimeUnavailable("does not answer")


@dataclass
class Truth:
    """What should be there."""

    decisions: dict[str, str] = field(default_factory=dict)
    number: int = 1

    def content(self, name: str) -> list[tuple[str, str]]:
        return {DECISIONS: list(self.decisions.items()), ROUTES: [("a route", "an API")]}.get(name, [])

    def everything(self) -> dict[tuple[str, str], str]:
        held = {(DECISIONS, key): value for key, value in self.decisions.items()}
        return {**held, (ROUTES, "a route"): "an API", (PLAN_MAP, PLAN_KEY): str(self.number)}

    def store(self, mirror: Mirror, key: str, value: str | None) -> None:
        if value is None:
            self.decisions.pop(key, None)
        else:
            self.decisions[key] = value
        mirror.enqueue([MapEntry(DECISIONS, key, value)])

    def renumber(self, mirror: Mirror) -> None:
        self.number += 1
        mirror.enqueue([MapEntry(PLAN_MAP, PLAN_KEY, str(self.number))])


@asynccontextmanager
async def a_mirror(workers: Workers, truth: Truth) -> AsyncIterator[Mirror]:
    mirror = Mirror(workers, truth.content, lambda: truth.number)
    task = asyncio.create_task(mirror.run())
    try:
        yield mirror
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def equal(workers: Workers, truth: Truth) -> None:
    async with asyncio.timeout(5):
        while not workers.maps or any(held != truth.everything() for held in workers.maps.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_new_worker_gets_everything_and_loses_what_nobody_knows() -> None:
    workers, truth = Workers(), Truth({"a": "1"})
    workers.start(1, stale="x")
    workers.maps[1][(PLAN_MAP, PLAN_KEY)] = "77"

    async with a_mirror(workers, truth):
        await equal(workers, truth)

    assert workers.opened_early is False


async def test_changes_reach_every_worker_in_their_order() -> None:
    workers, truth = Workers(), Truth()
    workers.start(1)
    workers.start(2)
    async with a_mirror(workers, truth) as mirror:
        await equal(workers, truth)
        truth.store(mirror, "a", "1")
        truth.store(mirror, "a", None)
        truth.store(mirror, "b", "1")
        truth.store(mirror, "b", "2")
        truth.renumber(mirror)

        await equal(workers, truth)


async def test_changes_during_the_supply_of_a_worker_are_not_lost() -> None:
    workers, truth = Workers(), Truth({str(number): "0" for number in range(50)})
    workers.start(1)
    async with a_mirror(workers, truth) as mirror:
        await equal(workers, truth)
        workers.start(2)
        for number in range(200):
            truth.store(mirror, str(number % 70), None if number % 3 else str(number))
            if number % 10 == 0:
                truth.renumber(mirror)
            await asyncio.sleep(0.002)

        await equal(workers, truth)

    assert workers.opened_early is False


async def test_a_worker_that_missed_a_change_is_supplied_again() -> None:
    workers, truth = Workers(), Truth()
    workers.start(1)
    async with a_mirror(workers, truth) as mirror:
        await equal(workers, truth)
        workers.fails_once.add(1)
        truth.store(mirror, "a", "1")

        await equal(workers, truth)


async def test_one_change_that_is_refused_holds_up_no_other() -> None:
    workers, truth = Workers(refuses={"huge"}), Truth()
    workers.start(1)
    async with a_mirror(workers, truth) as mirror:
        await equal(workers, truth)
        mirror.enqueue([MapEntry(DECISIONS, "huge", "x"), MapEntry(DECISIONS, "huge", None)])
        truth.store(mirror, "a", "1")

        await equal(workers, truth)


async def test_changes_without_a_haproxy_are_there_when_one_starts() -> None:
    workers, truth = Workers(gone=True), Truth()
    async with a_mirror(workers, truth) as mirror:
        truth.store(mirror, "a", "1")
        truth.renumber(mirror)
        workers.gone = False
        workers.start(3)

        await equal(workers, truth)
        assert mirror.live_workers == 1
