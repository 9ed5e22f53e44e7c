"""Keeps up with the control plane: the first plan, then every change, on a long poll."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.node.applying import Applier
from ostiary.gateway.node.clock import NodeClock
from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown, NotAdmitted, PlanTooOld
from ostiary.gateway.node.copying import PlanCopy
from ostiary.gateway.node.decide import ASK_WITHIN
from ostiary.gateway.node.disk import Disk
from ostiary.gateway.node.state import NodeState
from ostiary.gateway.plan import BadPlan, PlanAnswer
from ostiary.gateway.settings import LONG_POLL

_log = get_logger(__name__)
_POLL: Final = LONG_POLL.total_seconds()
_LONGEST_BACKOFF: Final = 2.0
_REFRESH_GAP: Final = 0.1
"""Seconds between two refreshes, so that tokens of unknown keys do not become load on the control plane."""


class Follower:
    """Asks for the plan and has it applied."""

    def __init__(
        self,
        control_plane: ControlPlane,
        state: NodeState,
        clock: NodeClock,
        disk: Disk,
        applier: Applier,
        now: Callable[[], float],
        forget_decisions: Callable[[], None],
    ) -> None:
        """`forget_decisions` ends every stored decision: shut out, or told that the clock is wrong."""
        self._control_plane = control_plane
        self._state = state
        self._clock = clock
        self._disk = disk
        self._applier = applier
        self._now = now
        self._forget_decisions = forget_decisions
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_at = 0.0
        self._copy: PlanCopy | None = None

    async def follow(self) -> None:
        """Long-poll; a control plane that is down is asked again with growing pauses."""
        pause = 0.0
        while True:
            try:
                number = self._state.plan.number
                await self.pull(wait=_POLL if number else 0)
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

    async def pull(self, wait: float) -> None:
        """Ask once and apply the answer.

        Raises:
            ControlPlaneDown: nobody answered.
            BadPlan: not even the complete plan is one; what there is stays.
        """
        number = self._state.plan.number
        if number > 0 and self._copy is None:
            try:
                answer = await self._changes(number, wait)
                self._note_contact()
                await self._applier.apply(answer)
            except (PlanTooOld, BadPlan) as problem:
                _log.warning("complete_plan_needed", number=number, reason=str(problem) or "too old")
            else:
                return
        await self._take_copy(number)

    async def refresh(self) -> None:
        """Ask once, now, for what changed; concurrent calls are one question. Never fails."""
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
        with suppress(TimeoutError):
            async with asyncio.timeout(ASK_WITHIN):
                await asyncio.shield(self._refreshing)

    async def store_what_is_missing(self) -> None:
        """Bring the plan on disk to where the one in memory is: a damaged file was begun again.

        Raises:
            ControlPlaneDown, BadPlan: nothing usable was answered.
        """
        stored = self._disk.stored_number
        try:
            await self._disk.keep(await self._changes(stored, wait=0), stored, self._now())
        except PlanTooOld:
            if not self._disk.is_failing:  # copied by the next turn of `follow`
                number = self._state.plan.number
                self._copy = self._copy or PlanCopy(self._control_plane, self._disk, number)

    async def _take_copy(self, number: int) -> None:
        """Go on with the copy that is under way, or begin one instead of the plan of that number."""
        copy = self._copy = self._copy or PlanCopy(self._control_plane, self._disk, number)
        try:
            plan = await copy.finish()
        except BadPlan:
            self._copy = None
            raise
        self._copy = None
        self._note_contact()
        if plan.number > 0:
            await self._applier.adopt(plan, copy.instead_of)

    async def _changes(self, number: int, wait: float, within: float | None = None) -> PlanAnswer:
        """Ask for what changed, all parts of it.

        Raises:
            PlanTooOld: a copy is needed.
        """
        if number == 0:
            raise PlanTooOld
        seen = self._state.plan.number
        answer = await self._control_plane.plan(number, wait, within, seen=seen)
        entries = list(answer.entries)
        while answer.more and not answer.complete:
            answer = await self._control_plane.plan(answer.number, 0, within, seen=seen)
            entries += answer.entries
        if answer.complete:  # a control plane that knows no parts, after many changes
            raise PlanTooOld
        return replace(answer, entries=tuple(entries))

    def _note_contact(self) -> None:
        self._state.contacted_at, self._state.is_admitted = self._now(), True
        self._compare_clocks()

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._refreshed_at + _REFRESH_GAP - loop.time()))
        self._refreshed_at, self._refreshing = loop.time(), None  # who comes now needs a later question
        try:
            answer = await self._changes(self._state.plan.number, wait=0, within=ASK_WITHIN)
            self._state.contacted_at = self._now()
            await self._applier.apply(answer)
        except (ControlPlaneDown, PlanTooOld, BadPlan) as problem:
            _log.info("plan_not_refreshed", reason=str(problem))

    def _shut_out(self, reason: str) -> None:
        """Decide nothing any more: whoever administers the platform has removed this node."""
        if self._state.is_admitted:
            advice = "it answers 503 until it is enrolled again: `ostiary nodes add` at the control plane"
            _log.error("node_not_admitted", reason=reason, advice=advice)
        self._state.is_admitted = False
        self._forget_decisions()

    def _compare_clocks(self) -> None:
        told = self._control_plane.told_time
        if told is not None and self._clock.observe(told):
            self._forget_decisions()
