"""Ends WebSockets and event streams when what let them through ends: token over or revoked, API blocked.

HAProxy decides on a call once, so a stream would outlive its token. Twice a second the agent reads which
streams a worker has noted (`haproxy/lasting.py`: none in most installations) and ends those that may not go
on, on workers from before a reload too. What a stream rests on is taken from its decision when it is first
seen, and kept until the token ends, longer than the decision. What nobody knows any more ends: an agent
started again ends all streams (ADR 0011).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.haproxy import MAPS, STREAMS_MAP, decision_key, read_noted, read_streams, shard
from ostiary.gateway.node.index import DecisionIndex
from ostiary.gateway.node.processes import Worker
from ostiary.gateway.node.runtime import RuntimeRefused, RuntimeUnavailable
from ostiary.gateway.node.state import NodeState

_log = get_logger(__name__)
LOOK_AT_STREAMS_EVERY: Final = 0.5
_MOST_KEPT: Final = 256_000
_TIDY_EVERY: Final = 10
"""Looks between two times at which entries of streams that have ended by themselves are taken out."""
_TOLD_AFTER: Final = 10
"""Looks in vain, in a row: while HAProxy's master reloads there are a few."""
_SERVED: Final = frozenset({"PROTOTYPED", "PUBLISHED", "DEPRECATED"})
Stream = tuple[str, str]
"""API and hashed credential."""


class Runtime(Protocol):
    """HAProxy as this module sees it."""

    async def workers(self) -> list[Worker]: ...

    async def reloads(self) -> dict[str, float]: ...

    async def told(self, pid: int, *commands: str) -> list[list[str]]: ...


class Streams:
    """The streams of one node."""

    def __init__(
        self, runtime: Runtime, index: DecisionIndex, state: NodeState, now: Callable[[], float]
    ) -> None:
        """Follow the decisions of `index`; `now` is the clock by which it ends them."""
        self._now = now
        self._runtime = runtime
        self._index = index
        self._state = state
        self._rests_on = DecisionIndex(_MOST_KEPT)
        index.lasting = self._rests_on
        self._looks = self._missed = 0
        self.open = 0
        """How many there were at the last look."""

    async def look(self) -> None:
        """End what may not go on; what cannot be done now is tried at the next look."""
        now = self._now()
        self._looks += 1
        noted: dict[int, dict[int, Stream]] = {}
        try:
            for worker in await self._runtime.workers():
                (lines,) = await self._runtime.told(worker.pid, f"show map {MAPS}/{STREAMS_MAP}")
                noted[worker.pid] = read_noted(lines)
            self._keep({stream for streams in noted.values() for stream in streams.values()}, now)
            for pid, streams in noted.items():
                await self._end(pid, streams, now)
        except (RuntimeUnavailable, RuntimeRefused) as error:
            self._missed += 1
            if self._missed == _TOLD_AFTER:
                _log.warning("streams_not_looked_at", reason=str(error))
        else:
            self._missed = 0
        self.open = sum(map(len, noted.values()))

    async def reloads(self) -> dict[str, float]:
        """Say what HAProxy's master tells of its reloads; nothing where there is none."""
        try:
            return await self._runtime.reloads()
        except RuntimeUnavailable:
            return {}

    def _keep(self, streams: Iterable[Stream], now: float) -> None:
        """Take what new streams rest on from their decisions; forget it of those that are gone."""
        self._rests_on.expire(now)
        keys = {decision_key(*stream): credential for stream in streams for credential in stream[1:]}
        self._rests_on.retain(keys)
        for key, credential in keys.items():
            name = shard(credential)
            stored = self._index.find(name, key)
            if stored is not None and self._rests_on.find(name, key) is None:
                self._rests_on.keep(stored)

    def _may_go_on(self, stream: Stream, now: float) -> bool:
        api, credential = self._state.plan.apis.get(stream[0]), stream[1]
        if api is None or api.state not in _SERVED or self._state.is_outdated(now):
            return False
        stored = self._rests_on.find(shard(credential), decision_key(*stream))
        return stored is not None and now < stored.expires_at

    async def _end(self, pid: int, noted: Mapping[int, Stream], now: float) -> None:
        over = [number for number, stream in noted.items() if not self._may_go_on(stream, now)]
        if not over and (not noted or self._looks % _TIDY_EVERY):
            return
        (lines,) = await self._runtime.told(pid, "show sess all")
        there = dict(read_streams(lines))
        ended = [number for number in over if number in there]
        gone = [*over, *(number for number in noted.keys() - set(over) if number not in there)]
        commands = [f"shutdown session {there[number]}" for number in ended]
        commands += [f"del map {MAPS}/{STREAMS_MAP} {number}" for number in gone]
        await self._runtime.told(pid, *commands)
        if ended:
            _log.info("streams_ended", worker=pid, streams=len(ended))
