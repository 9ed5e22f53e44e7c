"""The agent of a gateway node: follows the plan, keeps HAProxy's maps true to it, answers misses, signs.

Ready when a plan is applied and the map files are written; HAProxy need not run yet. Without a control
plane it starts from `node.db`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from ostiary.foundation.metrics import write
from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.node.applying import Applier
from ostiary.gateway.node.clock import NodeClock
from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown
from ostiary.gateway.node.decide import Decider
from ostiary.gateway.node.disk import Disk
from ostiary.gateway.node.explanations import Explanations, LineReader, tell
from ostiary.gateway.node.following import Follower
from ostiary.gateway.node.index import DecisionIndex
from ostiary.gateway.node.key_keeping import KeyKeeper
from ostiary.gateway.node.measuring import AgentMeasures, from_haproxy, gauges
from ostiary.gateway.node.meter import Meter
from ostiary.gateway.node.mirror import Mirror
from ostiary.gateway.node.runtime import HAProxyRuntime
from ostiary.gateway.node.state import NodeState
from ostiary.gateway.node.streams import LOOK_AT_STREAMS_EVERY, Streams
from ostiary.gateway.node.structure import Structure
from ostiary.gateway.node.turns import every
from ostiary.gateway.plan import BadPlan
from ostiary.gateway.settings import NodeSettings

_log = get_logger(__name__)
_LOOK_EVERY: Final = 0.25
"""Seconds between two looks at HAProxy's workers: so long one that ends may wait to be read."""
_CONTACT_WRITTEN_EVERY: Final = 60.0
_WAIT_FOR_KEY: Final = 1.0


class Agent:
    """One gateway node's Python part: its parts, wired, and when each has its turn."""

    def __init__(self, settings: NodeSettings, control_plane: ControlPlane, now: Callable[[], float]) -> None:
        """Open the node's files; nothing is asked yet."""
        gateway = settings.gateway
        self._settings = settings
        self._now = now
        self._clock = NodeClock(now, time.monotonic)
        self._control_plane = control_plane
        self._structure = Structure(settings.maps)
        self._disk = Disk(settings.own, self._structure)
        self._state = NodeState(self._disk.load_plan(), self._disk.contacted_at, gateway.max_offline)
        self._index = DecisionIndex(gateway.max_decisions)
        runtime = HAProxyRuntime(settings.master_socket, settings.statistics_socket)
        count_now = partial(self._count, now=True)
        self._mirror = Mirror(runtime, self._truth, lambda: self._state.plan.number, count_now)
        self._applier = Applier(
            settings, self._state, self._index, self._structure, self._disk, self._mirror, now
        )
        self._follower = Follower(
            control_plane,
            self._state,
            self._clock,
            self._disk,
            self._applier,
            now,
            self._forget_decisions,
        )
        self._explanations = Explanations(now)
        self.measures = AgentMeasures()
        self._decider = Decider(
            self._state,
            self._index,
            self._mirror.enqueue,
            self._follower.refresh,
            control_plane,
            gateway.decision_lifetime,
            now,
            self._explanations,
            self._clock,
        )
        self._keys = KeyKeeper(gateway, control_plane, self._state, self._disk, now)
        self._streams = Streams(HAProxyRuntime(settings.master_socket), self._index, self._state, now)
        self._meter = Meter(settings.run, settings.own, control_plane, now)
        self._is_ready = False

    def decider(self) -> Decider | None:
        """Return who answers misses; `None` until ready."""
        return self._decider if self._is_ready else None

    async def metrics(self) -> str:
        """Write what a scrape of this node gets."""
        state = self._state
        own = gauges(
            ready=self._is_ready,
            plan_number=state.plan.number,
            contact_seconds=self._now() - state.contacted_at,
            decisions=len(self._index),
            haproxy_workers=self._mirror.live_workers,
            changes_waiting=self._mirror.waiting,
            explanations_lost=self._explanations.lost,
            backends_quarantined=len(self._applier.own.quarantined),
            clock_behind_seconds=self._clock.behind,
            streams=self._streams.open,
            **await self._streams.reloads(),
        )
        counted = await from_haproxy(self._settings.statistics_socket, state.plan)
        return write([*own, *self.measures.families(), *counted])

    async def run(self) -> None:
        """Follow the plan until cancelled."""
        self._keys.keep()
        self._settings.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lines = LineReader(self._settings.log_socket, self._explanations.line)
        await self._start()
        gateway = self._settings.gateway
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._mirror.run())
            tasks.create_task(self._applier.own.run())
            tasks.create_task(self._follower.follow())
            tasks.create_task(every(1.0, self._tend))
            tasks.create_task(every(1.0, self._lines.refill))
            tasks.create_task(every(1.0, self._tell_explanations))
            tasks.create_task(every(60.0, self._applier.forget_revocations))
            tasks.create_task(every(_LOOK_EVERY, self._count))
            tasks.create_task(every(_LOOK_EVERY, self._meter.share))
            tasks.create_task(every(LOOK_AT_STREAMS_EVERY, self._streams.look))
            tasks.create_task(every(gateway.usage_every.total_seconds(), self._meter.report))
            tasks.create_task(every(gateway.resolve_every.total_seconds(), self._applier.resolve))

    async def close(self) -> None:
        """Let go of files and connections."""
        await self._meter.close()
        await self._control_plane.close()
        self._disk.close()

    async def _start(self) -> None:
        """Get the newest plan there is, write the maps, have a key that may sign, be ready."""
        await self._applier.begin()
        told: str | None = None
        while not self._is_ready:
            waits = self._state.plan.number > 0 and not self._keys.can_sign
            try:
                await self._follower.pull(wait=_WAIT_FOR_KEY if waits else 0)
            except (ControlPlaneDown, BadPlan) as problem:
                if told is None:
                    told = str(problem)
                    _log.info("no_newer_plan", reason=told, plan=self._state.plan.number)
                await asyncio.sleep(0.1 if waits else 0)
            await self._keys.tend()
            if self._state.plan.number > 0 and self._keys.can_sign:
                await self._applier.own.start()
                self._disk.write_maps()
                self._is_ready = True
                _log.info("agent_ready", plan=self._state.plan.number)
            elif self._state.plan.number == 0:
                await asyncio.sleep(0.1)

    async def _tend(self) -> None:
        """Do what time brings: decisions end, keys move on, contact is noted, the disk is made up for."""
        if self._clock.was_set():  # what HAProxy has ends at times of the old setting
            self._forget_decisions()
        self._mirror.enqueue(self._index.expire(self._now()))
        await self._keys.tend()
        if self._state.contacted_at - self._disk.contacted_at >= _CONTACT_WRITTEN_EVERY:
            await self._disk.note_contact(self._state.contacted_at)
        if self._disk.is_failing:
            self._disk.write_maps()
            self._keys.keep()
            await self._disk.write_plan()
        if self._disk.is_behind(self._state.plan.number):
            with suppress(ControlPlaneDown, BadPlan):
                await self._follower.store_what_is_missing()

    def _forget_decisions(self) -> None:
        self._mirror.enqueue(self._index.forget_all())

    async def _count(self, *, now: bool = False) -> None:
        self._mirror.enqueue(await self._meter.look(now=now))

    async def _tell_explanations(self) -> None:
        await tell(self._explanations, self._control_plane)

    def _truth(self, name: str) -> list[tuple[str, str]]:
        """Return what a map of HAProxy must hold now."""
        if name.startswith("others"):
            return self._meter.others(name)
        return (self._index if name.startswith("decisions-") else self._structure).content(name)
