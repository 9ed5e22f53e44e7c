"""Keeps up with the control plane: the first plan, then every change, on a long poll."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.node.applying import Applier
from ostiary.gateway.node.clock import NodeClock
from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown, NotAdmitted, PlanTooOld
from ostiary.gateway.node.decide import ASK_WITHIN
from ostiary.gateway.node.disk import Disk
from ostiary.gateway.node.state import NodeState
from ostiary.gateway.plan import BadPlan

_log = get_logger(__name__)
_POLL: Final = 25.0
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
        try:
            answer = await self._control_plane.plan(number, wait)
            self._state.contacted_at, self._state.is_admitted = self._now(), True
            self._compare_clocks()
            await self._applier.apply(answer)
        except (PlanTooOld, BadPlan) as problem:
            _log.warning("complete_plan_needed", number=number, reason=str(problem) or "too old")
            await self._applier.apply(await self._control_plane.plan(0, 0), instead_of=number)

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
            answer = await self._control_plane.plan(stored, wait=0)
        except PlanTooOld:
            answer = await self._control_plane.plan(0, wait=0)
        await self._disk.keep(answer, stored, self._now())

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._refreshed_at + _REFRESH_GAP - loop.time()))
        self._refreshed_at, self._refreshing = loop.time(), None  # who comes now needs a later question
        try:
            answer = await self._control_plane.plan(self._state.plan.number, wait=0, within=ASK_WITHIN)
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
