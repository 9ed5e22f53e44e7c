"""The master socket's client against a stand-in that says what HAProxy says, or worse."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ostiary.gateway.haproxy import MapEntry
from ostiary.gateway.node.runtime import HAProxyRuntime, RuntimeRefused, RuntimeUnavailable, Worker

PROC = """#<PID>          <type>          <reloads>       <uptime>        <version>
100             master          1 [failed: 0]   0d00h00m01s     2.8.25
# workers
102             worker          0               0d00h00m01s     2.8.25
# old workers
101             worker          1               0d00h00m09s     2.8.25
# programs

"""
Answers = Callable[[int, str], str | None]
"""(worker's pid or 0, command) → answer; `None` is silence, an empty text ends the connection."""


class Master:
    """Listens where HAProxy's master would."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.answers: Answers = lambda *_: "\n"
        self.asked: list[tuple[int, str]] = []
        self.proc = PROC

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pid = 0
        while line := (await reader.readline()).decode().rstrip("\n"):
            if line.startswith("@!"):
                pid = int(line[2:])
                continue
            if line.endswith("<<"):
                while (more := (await reader.readline()).decode()) != "\n":
                    line += "\n" + more.rstrip("\n")
            self.asked.append((pid, line))
            answer = self.proc if line == "show proc" else self.answers(pid, line)
            if answer == "":
                break
            if answer is not None:
                writer.write(answer.encode())
        writer.close()


@pytest.fixture
async def master() -> AsyncIterator[Master]:
    with tempfile.TemporaryDirectory() as folder:
        made = Master(Path(folder) / "m.sock")
        server = await asyncio.start_unix_server(made.serve, made.socket)
        yield made
        server.close()


@pytest.fixture
def runtime(master: Master) -> HAProxyRuntime:
    return HAProxyRuntime(master.socket, timeout=0.2)


async def test_old_workers_are_known_as_such(runtime: HAProxyRuntime):
    assert await runtime.workers() == [Worker(102, old=False), Worker(101, old=True)]


async def test_a_change_goes_to_every_live_worker(master: Master, runtime: HAProxyRuntime):
    await runtime.set_entry("epochs-00.map", "k", "7")

    assert master.asked[1:] == [
        (102, "set map maps/epochs-00.map k 7"),
        (101, "set map maps/epochs-00.map k 7"),
    ]


async def test_an_entry_that_is_not_there_is_added(master: Master, runtime: HAProxyRuntime):
    master.answers = lambda _, command: "entry not found.\n\n" if command.startswith("set") else "\n"

    await runtime.apply([MapEntry("routes-00.map", "k", "v")], pid=102)

    assert master.asked == [(102, "set map maps/routes-00.map k v"), (102, "add map maps/routes-00.map k v")]


async def test_a_decision_is_replaced_in_one_exchange(master: Master, runtime: HAProxyRuntime):
    await runtime.apply([MapEntry("decisions-00.map", "k", "v")], pid=102)

    assert master.asked == [
        (102, "del map maps/decisions-00.map k"),
        (102, "add map maps/decisions-00.map k v"),
    ]


async def test_deleting_what_is_not_there_is_fine(master: Master, runtime: HAProxyRuntime):
    master.answers = lambda *_: "Key not found.\n\n"

    await runtime.delete_entry("epochs-00.map", "k")


async def test_kinds_of_changes_keep_their_order(master: Master, runtime: HAProxyRuntime):
    master.answers = lambda _, command: "entry not found.\n\n" if command.startswith("set") else "\n"
    changes = [
        MapEntry("resources-00.map", "new", "v"),
        MapEntry("routes-00.map", "k", "v"),
        MapEntry("resources-00.map", "old", None),
    ]

    await runtime.apply(changes, pid=102)

    assert [command.split()[0] + " " + command.split()[3] for _, command in master.asked] == [
        "set new",
        "add new",
        "set k",
        "add k",
        "del old",
    ]


async def test_many_changes_are_all_made(master: Master, runtime: HAProxyRuntime):
    changes = [MapEntry("epochs-00.map", f"key-{n}", "v" * 100) for n in range(1000)]

    await runtime.apply(changes, pid=102)

    assert [command.split()[3] for _, command in master.asked] == [change.key for change in changes]


async def test_a_map_is_replaced_in_one_step(master: Master, runtime: HAProxyRuntime):
    master.answers = lambda _, command: (
        "New version created: 5\n\n" if command.startswith("prepare") else "\n"
    )

    await runtime.replace({"routes-00.map": [(f"k{n}", "v" * 1000) for n in range(20)]}, pid=102)

    commands = [command.splitlines()[0] for _, command in master.asked]
    assert commands == [
        "prepare map maps/routes-00.map",
        "add map @5 maps/routes-00.map <<",
        "add map @5 maps/routes-00.map <<",
        "commit map @5 maps/routes-00.map",
    ]


async def test_several_maps_are_replaced_together(master: Master, runtime: HAProxyRuntime):
    numbers = iter("56")
    master.answers = lambda _, command: (
        f"New version created: {next(numbers)}\n\n" if command.startswith("prepare") else "\n"
    )

    await runtime.replace({"routes-00.map": [("k", "v")], "floors-01.map": []}, pid=102)

    assert [command.splitlines()[0] for _, command in master.asked] == [
        "prepare map maps/routes-00.map",
        "prepare map maps/floors-01.map",
        "add map @5 maps/routes-00.map <<",
        "commit map @5 maps/routes-00.map",
        "commit map @6 maps/floors-01.map",
    ]


async def test_the_sizes_of_maps_are_read(master: Master, runtime: HAProxyRuntime):
    master.answers = lambda *_: (
        "# id (file) description\n"
        "0 (maps/plan.map) pattern loaded from 'x (y)' line 24. curr_ver=0 next_ver=0 entry_cnt=1\n"
        "1 (maps/routes-00.map) pattern loaded from 'x'. curr_ver=3 next_ver=3 entry_cnt=12\n"
        "-1 (inline) another. curr_ver=0 next_ver=0 entry_cnt=9\n\n"
    )

    assert await runtime.sizes(102) == {"plan.map": 1, "routes-00.map": 12}


@pytest.mark.parametrize("last_words", [None, "Can't connect to the target CLI!\n"], ids=["none", "some"])
async def test_a_worker_that_ends_before_it_answers_is_not_waited_for(master: Master, last_words: str | None):
    """As after a reload: no time-out, and nothing is missing in the workers that are left."""

    def ends(pid: int, _: str) -> str | None:
        if pid == 101:
            master.proc = PROC.replace("101 ", "#   ")
            return last_words
        return "\n"

    master.answers = ends
    runtime = HAProxyRuntime(master.socket, timeout=30)

    async with asyncio.timeout(10):
        await runtime.set_entry("epochs-00.map", "k", "7")

    assert {pid for pid, command in master.asked if command.startswith("set")} == {101, 102}


@pytest.mark.parametrize(
    "answer", ["Unknown map identifier.\n\n", "The following commands are valid\n  x\n\n"]
)
async def test_an_unexpected_answer_is_an_error_without_the_value(
    master: Master, runtime: HAProxyRuntime, answer: str
):
    master.answers = lambda *_: answer

    with pytest.raises(RuntimeRefused) as refused:
        await runtime.set_entry("epochs-00.map", "the-key", "the-secret")

    assert str(refused.value) == "set epochs-00.map: not accepted"


async def test_a_command_longer_than_the_buffer_is_never_sent(master: Master, runtime: HAProxyRuntime):
    with pytest.raises(RuntimeRefused, match="longer than a command can be"):
        await runtime.set_entry("epochs-00.map", "k", "v" * 20_000)

    assert all(command == "show proc" for _, command in master.asked)


async def test_a_silent_haproxy_is_unavailable_and_asked_anew_next_time(
    master: Master, runtime: HAProxyRuntime
):
    master.answers = lambda *_: None
    with pytest.raises(RuntimeUnavailable):
        await runtime.set_entry("epochs-00.map", "k", "1")

    master.answers = lambda *_: "\n"
    await runtime.set_entry("epochs-00.map", "k", "2")

    assert (101, "set map maps/epochs-00.map k 2") in master.asked


async def test_no_haproxy_is_unavailable(tmp_path: Path):
    with pytest.raises(RuntimeUnavailable):
        await HAProxyRuntime(tmp_path / "none.sock").workers()


async def test_a_worker_that_ends_meanwhile_needs_no_change(master: Master, runtime: HAProxyRuntime):
    def answer(pid: int, _: str) -> str:
        if pid == 101:
            master.proc = PROC.replace("101", "999").replace("worker          1", "program         1")
            return "Can't find the target PID matching the prefix '@!101'\n\n"
        return "\n"

    master.answers = answer

    await runtime.set_entry("epochs-00.map", "k", "1")

    assert (102, "set map maps/epochs-00.map k 1") in master.asked


async def test_a_live_worker_that_hangs_up_is_unavailable(master: Master, runtime: HAProxyRuntime):
    master.answers = lambda *_: ""

    with pytest.raises(RuntimeUnavailable):
        await runtime.set_entry("epochs-00.map", "k", "1")


async def test_a_cancelled_change_leaves_no_answer_to_the_next(master: Master, runtime: HAProxyRuntime):
    heard = asyncio.Event()
    master.answers = lambda *_: heard.set()
    task = asyncio.create_task(runtime.set_entry("epochs-00.map", "k", "1"))
    await heard.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    master.answers = lambda *_: "Unknown map identifier.\n\n"
    with pytest.raises(RuntimeRefused):
        await runtime.set_entry("epochs-00.map", "k", "2")
