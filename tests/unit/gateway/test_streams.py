"""Which streams the agent ends, without HAProxy."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.gateway.builders import NOW, sha256
from tests.unit.gateway.test_decision_index import TOKENS, WORLD, decided

from ostiary.gateway.node.index import DecisionIndex
from ostiary.gateway.node.processes import Worker, read_reloads
from ostiary.gateway.node.runtime import RuntimeUnavailable
from ostiary.gateway.node.state import NodeState
from ostiary.gateway.node.streams import Streams
from ostiary.gateway.plan import Entry, Revocation, to_wire

ENDS_AT = NOW + 3600
TOKEN, API = TOKENS[0]
NOTED = f"{API}:{sha256(TOKEN.token_id)}"


class Workers:
    """HAProxy's workers: the streams that each has, and those it has noted."""

    def __init__(self) -> None:
        self.noted: dict[int, dict[int, str]] = {1: {}}
        self.there: dict[int, set[int]] = {1: set()}
        self.asked: list[str] = []
        self.is_down = False

    def open(self, number: int, what: str = NOTED, pid: int = 1) -> None:
        self.noted.setdefault(pid, {})[number] = what
        self.there.setdefault(pid, set()).add(number)

    async def workers(self) -> list[Worker]:
        if self.is_down:
            raise RuntimeUnavailable("down")
        return [Worker(pid, old=pid > 1) for pid in self.noted]

    async def reloads(self) -> dict[str, float]:
        return {}

    async def told(self, pid: int, *commands: str) -> list[list[str]]:
        self.asked += [command.partition(" 0x")[0] for command in commands]
        return [self._answer(pid, command) for command in commands]

    def _answer(self, pid: int, command: str) -> list[str]:
        if command == "show map maps/streams.map":
            return [f"0x55 {number} {what}" for number, what in self.noted[pid].items()]
        if command == "show sess all":
            return [
                f"0x{number:x}00: [27/Nov/2026:12:18:57.048002] id={number} proto=tcpv4 source=1.2.3.4:5"
                for number in self.there[pid]
            ]
        last = command.rpartition(" ")[2]
        if command.startswith("shutdown session "):
            self.there[pid].discard(int(last, 16) // 256)
        elif command.startswith("del map maps/streams.map "):
            del self.noted[pid][int(last)]
        else:
            raise AssertionError(command)
        return []


class Node:
    """The agent's part, at a time the test says."""

    def __init__(self) -> None:
        self.now = float(NOW)
        self.index = DecisionIndex(10_000)
        for token, api in TOKENS:
            decision, *ids = decided(WORLD, token, api)
            self.index.add(replace(decision, credential_ends_at=ENDS_AT), *ids)
        self.state = NodeState(WORLD, self.now, timedelta(days=1))
        self.workers = Workers()
        self.streams = Streams(self.workers, self.index, self.state, lambda: self.now)

    async def open_after(self, *numbers: int) -> set[int]:
        """Which of these streams are still there after a look."""
        await self.streams.look()
        return {n for n in numbers if any(n in there for there in self.workers.there.values())}

    def change(self, entry: Entry) -> None:
        after = WORLD.apply(8, [entry])
        self.index.invalidate(WORLD, after, [(entry.kind, entry.id)])
        self.state.plan = after


@pytest.fixture
def node() -> Node:
    return Node()


async def test_one_lasts_longer_than_its_decision_and_no_longer_than_its_token(node: Node):
    node.workers.open(7)
    assert await node.open_after(7) == {7}

    node.now = ENDS_AT - 1
    node.index.expire(node.now)
    assert (len(node.index), await node.open_after(7), node.streams.open) == (0, {7}, 1)

    node.now = ENDS_AT
    assert await node.open_after(7) == set()


@pytest.mark.parametrize("is_forgotten", [False, True], ids=["decision stands", "decision is over"])
async def test_a_revocation_ends_those_that_rest_on_the_token(node: Node, is_forgotten: bool):
    node.workers.open(7)
    node.workers.open(8, f"{API}:{sha256('t2')}")
    node.workers.open(9, pid=2)
    await node.streams.look()
    if is_forgotten:
        node.now += 1000
        node.index.expire(node.now)

    node.change(to_wire(Revocation(f"token:{TOKEN.token_id}", ENDS_AT)))

    assert await node.open_after(7, 8, 9) == {8}
    assert node.workers.noted == {1: {8: f"{API}:{sha256('t2')}"}, 2: {}}


async def test_what_nobody_knows_ends(node: Node):
    node.workers.open(7, f"{API}:{sha256('nobody')}")
    node.workers.open(8, f"gone:{sha256(TOKEN.token_id)}")

    assert await node.open_after(7, 8) == set()


@pytest.mark.parametrize("state", ["BLOCKED", "CREATED", "RETIRED"])
async def test_an_api_that_takes_no_calls_has_no_streams(node: Node, state: str):
    node.workers.open(7)
    await node.streams.look()

    node.change(to_wire(replace(WORLD.apis[API], state=state)))

    assert await node.open_after(7) == set()


async def test_a_node_that_was_removed_has_none(node: Node):
    node.workers.open(7)
    await node.streams.look()

    node.state.is_admitted = False

    assert await node.open_after(7) == set()


async def test_where_nothing_lasts_only_the_notes_are_read(node: Node):
    for _ in range(30):
        await node.streams.look()

    assert set(node.workers.asked) == {"show map maps/streams.map"}


async def test_what_ended_by_itself_is_taken_out_and_others_are_not_ended(node: Node):
    node.workers.open(7)
    node.workers.open(8)
    node.workers.there[1].discard(7)

    for _ in range(10):
        await node.streams.look()

    assert (node.workers.noted, node.workers.there) == ({1: {8: NOTED}}, {1: {8}})


async def test_what_cannot_be_done_now_is_done_later(node: Node):
    node.workers.open(7)
    await node.streams.look()
    node.now = ENDS_AT
    node.workers.is_down = True
    assert await node.open_after(7) == {7}

    node.workers.is_down = False

    assert await node.open_after(7) == set()


def test_reloads_are_read_from_the_master():
    lines = [
        "#<PID>          <type>          <reloads>       <uptime>        <version>",
        "100             master          3 [failed: 1]   0d00h10m01s     2.8.25",
        "# workers",
        "102             worker          0               1d02h03m04s     2.8.25",
        "# old workers",
        "101             worker          1               2d00h00m09s     2.8.25",
    ]

    assert read_reloads(lines) == {
        "haproxy_reloads": 3,
        "haproxy_reloads_failed": 1,
        "haproxy_worker_seconds": 93_784,
    }
