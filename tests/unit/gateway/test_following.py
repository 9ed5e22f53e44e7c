"""A node keeps up with the plan, in memory and on disk, and says only of what it uses that it has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx2
import orjson
import pytest
from pydantic import SecretStr
from tests.unit.gateway.builders import NOW, a_gateway_plan
from tests.unit.gateway.test_mirror import Workers

from ostiary.gateway.node.applying import Applier
from ostiary.gateway.node.clock import NodeClock
from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown
from ostiary.gateway.node.disk import Disk
from ostiary.gateway.node.following import Follower
from ostiary.gateway.node.index import DecisionIndex
from ostiary.gateway.node.mirror import Mirror
from ostiary.gateway.node.state import NodeState
from ostiary.gateway.node.structure import Structure
from ostiary.gateway.plan import Entry, GatewayPlan, PlanAnswer, content_digest
from ostiary.gateway.settings import NodeSettings

PLAN = a_gateway_plan()


@dataclass
class ControlPlaneOfOnePage:
    """Answers with the plan, or with what changed, a part each; a long poll waits for a change."""

    plan: GatewayPlan = PLAN
    part: int = 100
    is_down_after: int = -1
    seen: list[int] = field(default_factory=list)
    polled: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def change(self) -> None:
        """Revoke a token; its name is the number."""
        number = self.plan.number + 1
        self.plan = self.plan.apply(number, [_revoked(number)])
        self.changed.set()

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        after, wait, seen = (int(request.url.params[name]) for name in ("after", "wait", "seen"))
        self.seen.append(seen)
        if after == self.is_down_after:
            return httpx2.Response(503)
        if after == 0:
            return _answered(PlanAnswer(self.plan.number, True, tuple(self.plan.entries())))
        if wait and after == self.plan.number:
            self.polled.set()
            await self.changed.wait()
        last = min(after + self.part, self.plan.number)
        entries = tuple(map(_revoked, range(after + 1, last + 1)))
        return _answered(PlanAnswer(last, False, entries, more=last < self.plan.number))


def _revoked(number: int) -> Entry:
    return Entry("revocation", f"token:{number}", {"expires_at": 2**40})


def _answered(answer: PlanAnswer) -> httpx2.Response:
    body = orjson.dumps(answer.to_wire())
    return httpx2.Response(200, content=body, headers={"Content-Digest": content_digest(body)})


@dataclass
class Following:
    """A node whose plan is in memory, and on disk once it was copied."""

    control_plane: ControlPlaneOfOnePage
    state: NodeState
    disk: Disk
    applier: Applier
    follower: Follower
    folder: Path

    def on_disk(self) -> GatewayPlan:
        """What a node that starts now has."""
        disk = Disk(self.folder, Structure(self.folder / "maps"))
        try:
            return disk.load_plan()
        finally:
            disk.close()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Following]:
    control_plane, state = ControlPlaneOfOnePage(), NodeState(PLAN, NOW, timedelta(hours=24))
    transport = httpx2.MockTransport(control_plane)
    asking = ControlPlane([transport], SecretStr("credential"))
    index, structure = DecisionIndex(256), Structure(tmp_path / "maps")
    disk = Disk(tmp_path, structure)
    mirror = Mirror(Workers(), structure.content, lambda: state.plan.number)
    settings = NodeSettings(data_directory=tmp_path)
    applier = Applier(settings, state, index, structure, disk, mirror, lambda: NOW)
    clock = NodeClock(lambda: NOW, lambda: 0.0)
    follower = Follower(asking, state, clock, disk, applier, lambda: NOW, lambda: None)
    yield Following(control_plane, state, disk, applier, follower, tmp_path)
    disk.close()


async def test_a_damaged_file_is_copied_again_while_changes_go_on(node: Following):
    """The change that ends the long poll is in memory before the copy is, and in the copy too."""
    poll = asyncio.create_task(node.follower.pull(wait=25))
    await node.control_plane.polled.wait()
    await node.follower.store_what_is_missing()
    node.control_plane.change()
    await poll

    await node.follower.pull(wait=25)

    assert not node.disk.is_behind(node.state.plan.number)
    assert node.on_disk() == node.state.plan == node.control_plane.plan
    assert node.control_plane.plan.number == PLAN.number + 1


async def test_a_copy_that_memory_has_gone_beyond_is_the_plan_on_disk_and_no_step_back(node: Following):
    """A call with an unknown token asks for changes at any time."""
    await node.disk.stage(PLAN.entries(), first=True)
    for _ in range(2):
        node.control_plane.change()
    await node.follower.refresh()
    gone_on = node.state.plan
    assert gone_on.number == PLAN.number + 2

    await node.applier.adopt(PLAN, instead_of=PLAN.number + 1)
    assert (node.state.plan, node.disk.stored_number) == (gone_on, PLAN.number)
    await node.follower.store_what_is_missing()

    assert node.on_disk() == gone_on


async def test_a_plan_on_disk_that_is_further_than_a_copy_stays(node: Following):
    await node.disk.stage(PLAN.entries(), first=True)
    await node.disk.adopt(PLAN.number, NOW)
    node.control_plane.change()
    await node.follower.refresh()
    gone_on = node.state.plan
    await node.disk.stage(PLAN.entries(), first=True)

    await node.applier.adopt(PLAN, instead_of=PLAN.number - 1)

    assert node.on_disk() == gone_on == node.control_plane.plan


async def test_a_part_of_the_changes_is_not_said_to_be_there(node: Following):
    """Else a key could be made to sign that this node has only heard of when the next part breaks."""
    node.control_plane.part = 1
    node.control_plane.change()
    node.control_plane.change()
    node.control_plane.is_down_after = PLAN.number + 1

    with pytest.raises(ControlPlaneDown):
        await node.follower.pull(wait=0)
    assert (node.control_plane.seen, node.state.plan) == ([PLAN.number] * 2, PLAN)
    node.control_plane.is_down_after = -1
    for _ in range(2):
        await node.follower.pull(wait=0)

    assert node.control_plane.seen[2:] == [PLAN.number] * 2 + [PLAN.number + 2]


async def test_a_copy_that_is_not_whole_is_not_said_to_be_there(node: Following):
    await node.follower.store_what_is_missing()
    node.control_plane.change()
    node.control_plane.is_down_after = node.control_plane.plan.number

    with pytest.raises(ControlPlaneDown):
        await node.follower.pull(wait=0)

    assert (set(node.control_plane.seen), node.state.plan) == ({PLAN.number}, PLAN)


async def test_what_is_asked_for_the_disk_says_what_is_in_memory(node: Following):
    await node.disk.stage(PLAN.entries(), first=True)
    await node.disk.adopt(PLAN.number, NOW)
    node.state.plan = PLAN.apply(PLAN.number + 1, [_revoked(PLAN.number + 1)])
    node.control_plane.change()

    await node.follower.store_what_is_missing()

    assert node.control_plane.seen == [PLAN.number + 1]
