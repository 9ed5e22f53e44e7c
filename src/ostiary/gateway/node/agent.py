"""The agent of a gateway node: follows the plan, keeps HAProxy's maps true to it, answers misses, signs.

Ready when a plan is applied and the map files are written; HAProxy need not run yet. Without a control
plane it starts from `node.db`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Final

from ostiary.foundation.http_client import LOOPBACK, OutboundPolicy
from ostiary.foundation.metrics import write
from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.haproxy import (
    PLAN_KEY,
    PLAN_MAP,
    MapEntry,
    api_entries,
    own_backends,
    resolution_changes,
    shared_targets,
    structure_changes,
    structure_maps,
)
from ostiary.gateway.node import assertion, keys
from ostiary.gateway.node.clock import NodeClock
from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown, NotAdmitted, PlanTooOld
from ostiary.gateway.node.decide import ASK_WITHIN, Decider
from ostiary.gateway.node.disk import Disk
from ostiary.gateway.node.explanations import Explanations, LineReader, tell
from ostiary.gateway.node.index import EVERYBODY, DecisionIndex
from ostiary.gateway.node.keys import KeyTiming
from ostiary.gateway.node.measuring import AgentMeasures, from_haproxy, gauges
from ostiary.gateway.node.meter import Meter
from ostiary.gateway.node.mirror import Mirror
from ostiary.gateway.node.own import OwnBackends, Steady
from ostiary.gateway.node.resolve import Resolver, names_of
from ostiary.gateway.node.runtime import HAProxyRuntime
from ostiary.gateway.node.state import NodeState
from ostiary.gateway.node.streams import LOOK_AT_STREAMS_EVERY, Streams
from ostiary.gateway.node.structure import Structure
from ostiary.gateway.node.turns import every
from ostiary.gateway.plan import BadPlan, Entry, GatewayPlan, Kind, PlanAnswer
from ostiary.gateway.settings import NodeSettings
from ostiary.gateway.supervise import find_haproxy, system_ca

_log = get_logger(__name__)
_POLL: Final = 25.0
_LONGEST_BACKOFF: Final = 2.0
_RESOLVE_WITHIN: Final = 0.25
_MARGIN: Final = 10.0
_LOOK_EVERY: Final = 0.25
"""Seconds between two looks at HAProxy's workers: so long one that ends may wait to be read."""
_CONTACT_WRITTEN_EVERY: Final = 60.0
_REFRESH_GAP: Final = 0.1
"""Seconds between two refreshes, so that tokens of unknown keys do not become load on the control plane."""


class Agent:
    """One gateway node's Python part."""

    def __init__(self, settings: NodeSettings, control_plane: ControlPlane, now: Callable[[], float]) -> None:
        """Open the node's files; nothing is asked yet."""
        gateway = settings.gateway
        self._settings = settings
        self._now = now
        self._clock = NodeClock(now, time.monotonic)
        self._control_plane = control_plane
        self._structure = Structure(settings.maps)
        self._disk = Disk(settings.own, self._structure)
        plan = self._disk.load_plan()
        self._state = NodeState(plan, self._disk.contacted_at, gateway.max_offline)
        self._resolver = Resolver(policy_of(settings))
        self._index = DecisionIndex(gateway.max_decisions)
        runtime = HAProxyRuntime(settings.master_socket, settings.statistics_socket)
        reloading = HAProxyRuntime(settings.master_socket)  # changes of maps do not wait for it
        checker = partial(find_haproxy, settings.haproxy)
        self._own = OwnBackends(settings.run, checker, reloading, self._own_loaded, system_ca())
        self._steady = Steady(self._resolver.lookup)
        count_now = partial(self._count, now=True)
        self._mirror = Mirror(runtime, self._truth, lambda: self._state.plan.number, count_now)
        self._explanations = Explanations(now)
        self.measures = AgentMeasures()
        self._decider = Decider(
            self._state,
            self._index,
            self._mirror.enqueue,
            self.refresh,
            control_plane,
            gateway.decision_lifetime,
            now,
            self._explanations,
            self._clock,
        )
        self._timing = KeyTiming(
            announce=gateway.jwks_max_age.total_seconds() + _MARGIN,
            retire=gateway.decision_lifetime.total_seconds() + assertion.OUTLIVES_DECISION_SECONDS + _MARGIN,
        )
        self._state.ring = self._disk.load_keys().step(
            now(), self._state.rotation, self._timing, keys.generate
        )
        self._keys_told = False
        self._applying = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_at = 0.0
        self._catching_up: asyncio.Task[None] | None = None
        self._is_behind = False
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
            backends_quarantined=len(self._own.quarantined),
            clock_behind_seconds=self._clock.behind,
            streams=self._streams.open,
            **await self._streams.reloads(),
        )
        counted = await from_haproxy(self._settings.statistics_socket, state.plan)
        return write([*own, *self.measures.families(), *counted])

    async def run(self) -> None:
        """Follow the plan until cancelled."""
        self._disk.keep_keys(self._state.ring)
        self._settings.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lines = LineReader(self._settings.log_socket, self._explanations.line)
        await self._start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._mirror.run())
            tasks.create_task(self._own.run())
            tasks.create_task(self._follow())
            tasks.create_task(every(1.0, self._tend))
            tasks.create_task(every(1.0, self._lines.refill))
            tasks.create_task(every(1.0, self._tell_explanations))
            tasks.create_task(every(60.0, self._forget_revocations))
            tasks.create_task(every(_LOOK_EVERY, self._count))
            tasks.create_task(every(_LOOK_EVERY, self._meter.share))
            tasks.create_task(every(LOOK_AT_STREAMS_EVERY, self._streams.look))
            tasks.create_task(every(self._settings.gateway.usage_every.total_seconds(), self._meter.report))
            tasks.create_task(every(self._settings.gateway.resolve_every.total_seconds(), self._resolve))

    async def close(self) -> None:
        """Let go of files and connections."""
        await self._meter.close()
        await self._control_plane.close()
        self._disk.close()

    async def refresh(self) -> None:
        """Ask once, now, for what changed; concurrent calls are one question. Never fails."""
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
        with suppress(TimeoutError):
            async with asyncio.timeout(ASK_WITHIN):
                await asyncio.shield(self._refreshing)

    async def apply(self, answer: PlanAnswer, instead_of: int | None = None) -> None:
        """Take a newer plan; an older answer changes nothing.

        `instead_of` is the number the control plane no longer knows: its complete plan then replaces that one
        whatever its own number (a restored backup).

        Raises:
            BadPlan: the plan before stays.
        """
        async with self._applying:
            before = self._state.plan
            if answer.number <= before.number and before.number != instead_of:
                return
            after = answer.next_plan(before)
            touched = _touched(before, after, answer)
            self._state.plan = after  # nothing is awaited until the index knows, too
            self._mirror.enqueue(self._index.invalidate(before, after, touched))
            await self._learn(after, touched)
            self._want_own(before, after, [id for kind, id in touched if kind == Kind.API])
            drawn = structure_changes(before, after, touched, self._resolver.lookup, self._own.item)
            changes = self._structure.change(drawn)
            self._mirror.enqueue([*changes, MapEntry(PLAN_MAP, PLAN_KEY, str(after.number))])
            self._disk.write_maps()
            await self._disk.keep(answer, before.number, self._now())
        _log.info("plan_applied", number=after.number, entries=len(answer.entries), complete=answer.complete)

    async def _start(self) -> None:
        """Get the newest plan there is, write the maps, be ready."""
        plan = self._state.plan
        await self._learn(plan, [(Kind.API, id) for id in plan.apis])
        self._want_own(plan, plan, plan.apis)
        self._structure.replace(structure_maps(plan, self._resolver.lookup, self._own.item))
        told = False
        while not self._is_ready:
            try:
                await self._pull(wait=0)
                await self._tell_keys()
            except (ControlPlaneDown, BadPlan) as problem:
                if not told:
                    _log.info("no_newer_plan", reason=str(problem), plan=self._state.plan.number)
                told = True
            if self._state.plan.number > 0:
                await self._own.start()
                self._disk.write_maps()
                self._is_ready = True
                _log.info("agent_ready", plan=self._state.plan.number)
            else:
                await asyncio.sleep(0.1)

    async def _follow(self) -> None:
        """Long-poll; a control plane that is down is asked again with growing pauses."""
        pause = 0.0
        while True:
            try:
                number = self._state.plan.number
                await self._pull(wait=_POLL if number else 0)
                pause = 0.0 if self._state.plan.number else 1.0
            except NotAdmitted as error:
                self._shut_out(str(error))
                pause = _LONGEST_BACKOFF
            except ControlPlaneDown as error:
                if not pause:
                    _log.warning("control_plane_out_of_reach", reason=str(error))
                pause = min(_LONGEST_BACKOFF, 2 * pause or 0.1)
            except Exception:
                _log.exception("plan_not_applied")
                pause = 1.0
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)

    def _shut_out(self, reason: str) -> None:
        """Decide nothing any more: whoever administers the platform has removed this node."""
        if self._state.is_admitted:
            advice = "it answers 503 until it is enrolled again: `ostiary nodes add` at the control plane"
            _log.error("node_not_admitted", reason=reason, advice=advice)
        self._state.is_admitted = False
        self._mirror.enqueue(self._index.forget_all())

    def _compare_clocks(self) -> None:
        told = self._control_plane.told_time
        if told is not None and self._clock.observe(told):
            self._mirror.enqueue(self._index.forget_all())

    async def _pull(self, wait: float) -> None:
        number = self._state.plan.number
        try:
            answer = await self._control_plane.plan(number, wait)
            self._state.contacted_at, self._state.is_admitted = self._now(), True
            self._compare_clocks()
            await self.apply(answer)
        except (PlanTooOld, BadPlan) as problem:
            _log.warning("complete_plan_needed", number=number, reason=str(problem) or "too old")
            await self.apply(await self._control_plane.plan(0, 0), instead_of=number)

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._refreshed_at + _REFRESH_GAP - loop.time()))
        self._refreshed_at, self._refreshing = loop.time(), None  # who comes now needs a later question
        try:
            answer = await self._control_plane.plan(self._state.plan.number, wait=0, within=ASK_WITHIN)
            self._state.contacted_at = self._now()
            await self.apply(answer)
        except (ControlPlaneDown, PlanTooOld, BadPlan) as problem:
            _log.info("plan_not_refreshed", reason=str(problem))

    async def _learn(self, plan: GatewayPlan, touched: list[tuple[str, str]]) -> None:
        apis = (plan.apis[id] for kind, id in touched if kind == Kind.API and id in plan.apis)
        if not await self._resolver.learn(names_of(apis), _RESOLVE_WITHIN):
            self._is_behind = True
            if self._catching_up is None or self._catching_up.done():
                self._catching_up = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Draw the routes whose names are answered late; one look-up of all names at a time."""
        while self._is_behind:
            self._is_behind = False
            await self._resolve()

    async def _resolve(self) -> None:
        """Look up every backend's name again; names that changed change routes."""
        hosts = await self._resolver.refresh(names_of(self._state.plan.apis.values()))
        if hosts:
            async with self._applying:
                plan = self._state.plan
                self._want_own(plan, plan, plan.apis)
                found = resolution_changes(plan, hosts, self._resolver.lookup, self._own.item)
                self._mirror.enqueue(self._structure.change(found))
                self._disk.write_maps()

    def _want_own(self, before: GatewayPlan, after: GatewayPlan, api_ids: Iterable[str]) -> None:
        """Say what backends of their own these APIs need now, and where their calls went without one."""
        for id in api_ids:
            api, previous = after.apis.get(id), before.apis.get(id)
            own = [] if api is None else own_backends([api], self._steady.lookup)
            shared = shared_targets(previous, self._resolver.lookup) if own and previous else {}
            self._own.want(id, own, shared)

    async def _own_loaded(self, api_ids: frozenset[str]) -> None:
        """Let the routes of these APIs say what has become of their backends; supply the new worker."""
        async with self._applying:
            plan = self._state.plan
            apis = [plan.apis[id] for id in api_ids if id in plan.apis]
            lookup, item = self._resolver.lookup, self._own.item
            drawn = [entry for api in apis for entry in api_entries(plan, api, lookup, item)]
            self._mirror.enqueue(self._structure.change(drawn))
            self._disk.write_maps()
            self._mirror.look_soon()

    async def _tend(self) -> None:
        """Do what time brings: decisions and revocations end, keys move on, contact is noted."""
        now = self._now()
        if self._clock.was_set():  # what HAProxy has ends at times of the old setting
            self._mirror.enqueue(self._index.forget_all())
        self._mirror.enqueue(self._index.expire(now))
        ring = self._state.ring.step(now, self._state.rotation, self._timing, keys.generate)
        if ring is not self._state.ring and self._disk.keep_keys(ring):  # never signs with what may be lost
            self._state.ring = ring
            self._keys_told = False
        if not self._keys_told:
            with suppress(ControlPlaneDown):
                await self._tell_keys()
        if self._state.contacted_at - self._disk.contacted_at >= _CONTACT_WRITTEN_EVERY:
            await self._disk.note_contact(self._state.contacted_at)
        if self._disk.is_failing:
            self._disk.write_maps()
            self._disk.keep_keys(self._state.ring)
            await self._disk.write_plan()
        if self._disk.is_behind(self._state.plan.number):
            with suppress(ControlPlaneDown, BadPlan):
                await self._store_what_is_missing()

    async def _store_what_is_missing(self) -> None:
        """Bring the plan on disk to where the one in memory is: a damaged file was begun again."""
        stored = self._disk.stored_number
        try:
            answer = await self._control_plane.plan(stored, wait=0)
        except PlanTooOld:
            answer = await self._control_plane.plan(0, wait=0)
        await self._disk.keep(answer, stored, self._now())

    async def _tell_keys(self) -> None:
        """Have the node's keys published; only from then on does an announced key's time run."""
        told = self._state.ring.public()
        await self._control_plane.register_keys(told)
        kids = frozenset(str(key["kid"]) for key in told)
        self._state.ring = self._state.ring.registered(kids, self._now())
        self._disk.keep_keys(self._state.ring)
        self._keys_told = True

    async def _forget_revocations(self) -> None:
        """Drop revocations of tokens that have expired anyway; the control plane does not tell."""
        now = self._now()
        async with self._applying:
            plan = self._state.plan
            over = [id for id, one in plan.revocations.items() if one.expires_at < now]
            if over:
                gone = tuple(Entry(Kind.REVOCATION, id, None) for id in over)
                self._state.plan = plan.apply(plan.number, gone)
                answer = PlanAnswer(plan.number, complete=False, entries=gone)
                await self._disk.keep(answer, plan.number, self._state.contacted_at)

    async def _count(self, *, now: bool = False) -> None:
        self._mirror.enqueue(await self._meter.look(now=now))

    async def _tell_explanations(self) -> None:
        await tell(self._explanations, self._control_plane)

    def _truth(self, name: str) -> list[tuple[str, str]]:
        """Return what a map of HAProxy must hold now."""
        if name.startswith("others"):
            return self._meter.others(name)
        return (self._index if name.startswith("decisions-") else self._structure).content(name)


def policy_of(settings: NodeSettings) -> OutboundPolicy:
    """Return where backends may be."""
    return OutboundPolicy(settings.allowed_networks or LOOPBACK, settings.own_ports)


def _touched(before: GatewayPlan, after: GatewayPlan, answer: PlanAnswer) -> list[tuple[str, str]]:
    named = {(entry.kind, entry.id) for entry in answer.entries}
    if answer.complete:
        named |= {(entry.kind, entry.id) for plan in (before, after) for entry in plan.entries()}
        named |= {*before.barred, *after.barred, EVERYBODY}
    return sorted(named)
