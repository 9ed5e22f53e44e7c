"""The supervisor on small programs: it repairs, it stops in order, and nothing outlives it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest
from tests.system.waiting import alive, until

SCRIPT = Path(__file__).with_name("supervised.py")


class Tree:
    """A supervisor with small programs, in a process of its own."""

    def __init__(self, record: Path, programs: tuple[str, ...]) -> None:
        self.record = record
        self.process = Popen(
            [sys.executable, str(SCRIPT), str(record), *programs], stderr=subprocess.PIPE, text=True
        )

    def pids(self, after_replacements: int = 0) -> dict[str, int]:
        def told() -> dict[str, int] | None:
            said = json.loads(self.record.read_text()) if self.record.exists() else {"times": 0}
            return said["processes"] if said["times"] > after_replacements else None

        return until(told, 20.0, f"replacement {after_replacements}")

    def stop(self) -> tuple[int, str]:
        self.process.terminate()
        return self.ended()

    def ended(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors


Supervise = Callable[..., Tree]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    started: list[Tree] = []

    def start(*programs: str) -> Tree:
        tree = Tree(tmp_path / "record.json", programs)
        started.append(tree)
        return tree

    yield start
    for tree in started:
        tree.process.kill()
        tree.process.communicate()


def test_a_killed_program_is_started_again(supervise: Supervise):
    tree = supervise("one=exec sleep 60")
    first = tree.pids()["one"]

    os.kill(first, signal.SIGKILL)

    second = tree.pids(after_replacements=1)["one"]
    assert second != first
    assert alive(second)


def test_sigterm_ends_every_program_and_the_supervisor_ends_with_status_0(supervise: Supervise):
    tree = supervise("one=exec sleep 60", "two=exec sleep 60")
    pids = tree.pids().values()

    status, _ = tree.stop()

    assert status == 0
    assert not any(map(alive, pids))


def test_a_program_that_does_not_stop_is_killed(supervise: Supervise):
    tree = supervise("stubborn=trap '' TERM; while :; do sleep 0.1; done")
    pid = tree.pids()["stubborn"]

    status, errors = tree.stop()

    assert status == 0
    assert "program_killed" in errors
    assert not alive(pid)


def test_no_program_outlives_a_killed_supervisor(supervise: Supervise):
    tree = supervise("one=exec sleep 60", "two=exec sleep 60")
    pids = list(tree.pids().values())

    tree.process.kill()

    until(lambda: not any(map(alive, pids)), what="the end of every program")


def test_what_a_killed_program_leaves_behind_is_ended(supervise: Supervise, tmp_path: Path):
    tree = supervise(f"parent=sleep 61 & echo $! > {tmp_path}/grandchild; wait")
    parent = tree.pids()["parent"]
    grandchild = int(until(lambda: _content(tmp_path / "grandchild")))

    os.kill(parent, signal.SIGKILL)

    until(lambda: not alive(grandchild), what="the end of the orphan")


def test_a_program_that_ends_while_starting_stops_the_start(supervise: Supervise):
    tree = supervise("good=exec sleep 60", "broken!=exit 7")

    status, errors = tree.ended()

    assert status == 1
    assert "ostiary: broken! ended while starting: exit status 7" in errors


def test_a_crash_loop_is_reported_once(supervise: Supervise):
    tree = supervise("loop=sleep 0.05; exit 3")
    tree.pids(after_replacements=6)

    _, errors = tree.stop()

    assert errors.count("program_keeps_ending") == 1
    assert errors.count("program_ended") == 4


def _content(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
