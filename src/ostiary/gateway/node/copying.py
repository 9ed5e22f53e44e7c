"""A copy of the whole plan under way, page by page: what a node without a plan, or too far behind, makes.

What has arrived stays while the control plane is out of reach. The pages may differ in age, so they are no
plan before the changes since the first of them are taken, too; until then the plan before stays in use, in
memory and on disk.
"""

from __future__ import annotations

import gc
from typing import Final

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.node.control_plane import ControlPlane, PlanTooOld
from ostiary.gateway.node.disk import Disk
from ostiary.gateway.plan import BadPlan, GatewayPlan, PlanAnswer

_ASKED_AT_MOST: Final = 3
"""Times for a page that arrives damaged."""
_TOLD_EVERY: Final = 100
"""Pages; a copy of fewer is over before anybody wonders."""
_log = get_logger(__name__)


class PlanCopy:
    """The pages so far."""

    def __init__(self, control_plane: ControlPlane, disk: Disk, instead_of: int) -> None:
        """Begin; nothing is asked yet. `instead_of` is the number of the plan in use, to be replaced."""
        self.instead_of = instead_of
        self._control_plane = control_plane
        self._disk = disk
        self._made = GatewayPlan().change()
        self._next_page: str | None = ""
        self._number = 0
        self.pages = 0
        """How many have arrived."""

    async def finish(self) -> GatewayPlan:
        """Ask for what is missing; returns the plan, whose entries are on disk then, aside.

        Raises:
            ControlPlaneDown: nobody answered; go on later.
            BadPlan: begin again.
        """
        try:
            while self._next_page is not None:
                await self._take_page(await self._page(self._next_page))
            while await self._take_changes():
                pass
        except PlanTooOld as error:
            raise BadPlan("what changed since the copy began is not known any more") from error
        return self._made.finish(self._number)

    async def _page(self, page: str) -> PlanAnswer:
        for _ in range(_ASKED_AT_MOST - 1):
            try:
                return await self._control_plane.plan(0, 0, page=page, seen=self.instead_of)
            except BadPlan:
                continue
        return await self._control_plane.plan(0, 0, page=page, seen=self.instead_of)

    async def _take_page(self, answer: PlanAnswer) -> None:
        if not answer.complete or self._number not in (0, answer.number):
            raise BadPlan("that is no page of the plan being copied")
        await self._take(answer)
        self._next_page = answer.next_page

    async def _take_changes(self) -> bool:
        """Take what changed meanwhile; says whether there is more of it."""
        if self._number == 0:  # nothing was ever changed, so nothing is there
            return False
        answer = await self._control_plane.plan(self._number, 0, seen=self.instead_of)
        if answer.complete:
            raise PlanTooOld
        await self._take(answer)
        return answer.more

    async def _take(self, answer: PlanAnswer) -> None:
        for entry in answer.entries:
            self._made.add(entry)
        await self._disk.stage(answer.entries, first=self.pages == 0)
        self.pages += 1
        self._number = answer.number
        if self.pages % _TOLD_EVERY == 0:
            _log.info("plan_is_copied", pages=self.pages)
        gc.collect(1)  # what is left is the plan: collections need not walk it again and again
        gc.freeze()
