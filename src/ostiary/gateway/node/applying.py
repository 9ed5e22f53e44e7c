"""Takes a newer plan: decisions, HAProxy's maps, backends of APIs' own and the disk all follow it.

One plan at a time. Names of backends are looked up on the way; a late answer draws its routes then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from ostiary.foundation.http_client import LOOPBACK, OutboundPolicy
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
from ostiary.gateway.node.disk import Disk
from ostiary.gateway.node.index import DecisionIndex
from ostiary.gateway.node.mirror import Mirror
from ostiary.gateway.node.own import OwnBackends, Steady
from ostiary.gateway.node.resolve import Resolver, names_of
from ostiary.gateway.node.runtime import HAProxyRuntime
from ostiary.gateway.node.state import NodeState
from ostiary.gateway.node.structure import Structure
from ostiary.gateway.plan import Entry, GatewayPlan, Kind, PlanAnswer
from ostiary.gateway.settings import NodeSettings
from ostiary.gateway.supervise import find_haproxy, system_ca

_log = get_logger(__name__)
_RESOLVE_WITHIN: Final = 0.25
_LARGE: Final = 500
"""More things than this are drawn beside the event loop, which has misses to answer."""


class Applier:
    """Brings everything on this node to what the plan says."""

    def __init__(
        self,
        settings: NodeSettings,
        state: NodeState,
        index: DecisionIndex,
        structure: Structure,
        disk: Disk,
        mirror: Mirror,
        now: Callable[[], float],
    ) -> None:
        self._state = state
        self._index = index
        self._structure = structure
        self._disk = disk
        self._mirror = mirror
        self._now = now
        self._resolver = Resolver(policy_of(settings))
        self._steady = Steady(self._resolver.lookup)
        reloading = HAProxyRuntime(settings.master_socket)  # changes of maps do not wait for it
        checker = partial(find_haproxy, settings.haproxy)
        self.own = OwnBackends(settings.run, checker, reloading, self._own_loaded, system_ca())
        self._applying = asyncio.Lock()
        self._catching_up: asyncio.Task[None] | None = None
        self._is_behind = False

    async def begin(self) -> None:
        """Draw everything of the plan that was on disk, which may be an empty one."""
        plan = self._state.plan
        await self._learn(plan, [(Kind.API, id) for id in plan.apis])
        self._want_own(plan, plan, plan.apis)
        self._structure.replace(structure_maps(plan, self._resolver.lookup, self.own.item))

    async def apply(self, answer: PlanAnswer) -> None:
        """Take what changed; an older answer changes nothing.

        Raises:
            BadPlan: the plan before stays.
        """
        async with self._applying:
            before = self._state.plan
            if answer.number <= before.number:
                return
            after = answer.next_plan(before)
            touched = sorted({(entry.kind, entry.id) for entry in answer.entries})
            self._state.plan = after  # nothing is awaited until the index knows, too
            self._mirror.enqueue(self._index.invalidate(before, after, touched))
            await self._bring(before, after, touched)
            await self._disk.keep(answer, before.number, self._now())
        _log.info("plan_applied", number=after.number, entries=len(answer.entries), complete=False)

    async def adopt(self, after: GatewayPlan, instead_of: int) -> None:
        """Take a whole plan, which was copied instead of the one of that number (0: none).

        Its own number may be lower: a backup was restored. Where the plan in memory has gone on meanwhile, to
        it or beyond, that one stays; the disk is brought to the copy, unless it is further itself.
        """
        async with self._applying:
            before = self._state.plan
            replaces = before.number == instead_of or before.number < after.number
            if replaces:
                self._state.plan = after  # nothing is awaited until the index knows, too
                self._mirror.enqueue(self._index.reconcile(before, after))
                await self._bring(before, after, _drawn(before, after))
            if replaces or self._disk.is_behind(after.number):
                await self._disk.adopt(after.number, self._now())
        if replaces:
            _log.info("plan_applied", number=after.number, entries=after.size, complete=True)

    async def _bring(self, before: GatewayPlan, after: GatewayPlan, touched: list[tuple[str, str]]) -> None:
        """Bring maps and backends of APIs' own from one plan to the next."""
        await self._learn(after, touched)
        self._want_own(before, after, [id for kind, id in touched if kind == Kind.API])
        drawn = partial(structure_changes, before, after, touched, self._resolver.lookup, self.own.item)
        large = len(touched) > _LARGE
        changes = self._structure.change(await asyncio.to_thread(drawn) if large else drawn())
        self._mirror.enqueue([*changes, MapEntry(PLAN_MAP, PLAN_KEY, str(after.number))])
        self._disk.write_maps()

    async def resolve(self) -> None:
        """Look up every backend's name again; names that changed change routes."""
        hosts = await self._resolver.refresh(names_of(self._state.plan.apis.values()))
        if hosts:
            async with self._applying:
                plan = self._state.plan
                self._want_own(plan, plan, plan.apis)
                found = resolution_changes(plan, hosts, self._resolver.lookup, self.own.item)
                self._mirror.enqueue(self._structure.change(found))
                self._disk.write_maps()

    async def forget_revocations(self) -> None:
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
            await self.resolve()

    def _want_own(self, before: GatewayPlan, after: GatewayPlan, api_ids: Iterable[str]) -> None:
        """Say what backends of their own these APIs need now, and where their calls went without one."""
        for id in api_ids:
            api, previous = after.apis.get(id), before.apis.get(id)
            own = [] if api is None else own_backends([api], self._steady.lookup)
            shared = shared_targets(previous, self._resolver.lookup) if own and previous else {}
            self.own.want(id, own, shared)

    async def _own_loaded(self, api_ids: frozenset[str]) -> None:
        """Let the routes of these APIs say what has become of their backends; supply the new worker."""
        async with self._applying:
            plan = self._state.plan
            apis = [plan.apis[id] for id in api_ids if id in plan.apis]
            lookup, item = self._resolver.lookup, self.own.item
            drawn = [entry for api in apis for entry in api_entries(plan, api, lookup, item)]
            self._mirror.enqueue(self._structure.change(drawn))
            self._disk.write_maps()
            self._mirror.look_soon()


def policy_of(settings: NodeSettings) -> OutboundPolicy:
    """Return where backends may be."""
    return OutboundPolicy(settings.allowed_networks or LOOPBACK, settings.own_ports)


def _drawn(before: GatewayPlan, after: GatewayPlan) -> list[tuple[str, str]]:
    """Name everything that maps are drawn from."""
    both = (before, after)
    apis = {(Kind.API.value, id) for plan in both for id in plan.apis}
    epochs = {(Kind.EPOCH.value, id) for plan in both for id in plan.epochs}
    denials = {(Kind.DENIAL.value, id) for plan in both for id in plan.denials}
    return sorted(apis | epochs | denials)
