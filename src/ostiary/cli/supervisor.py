"""The process tree: programs started in order, kept running, stopped together.

A program that ends without being asked is started again at once, then with growing pauses. No program
outlives the supervisor: the kernel signals each when its parent dies (prctl(2), PR_SET_PDEATHSIG), and
orphans of a child come back to the supervisor (PR_SET_CHILD_SUBREAPER), which ends them. Children have
process groups of their own, so Ctrl-C reaches the supervisor alone and it decides the order.
"""

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ostiary.cli.errors import OperatorError
from ostiary.foundation.telemetry import get_logger

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0
SETTLED_AFTER = 1.0
"""Seconds a program must have been ready for its earlier ends to be forgotten."""
LOOK_AGAIN = 0.1
CRASH_LOOP = 5
"""So many ends in a row are reported once, as one message."""
_LOOKS = 2
_LAST_WORDS = 5
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Program:
    """One child process and how to live with it."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    is_ready: Callable[[], Awaitable[bool]]
    """Asked every few milliseconds while the tree starts."""
    start_within: float | None = None
    """Seconds until it has to be ready; `None` is what holds for all."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within: float = 5.0
    """Seconds to finish what it is doing; then it is killed."""
    has_finished: Callable[[], Awaitable[bool]] | None = None
    """Asked while it stops: whether nothing is under way; who is only connected is not waited for."""
    waits: bool = False
    """It may be started early: it loads itself and begins when its standard input ends."""
    directory: Path | None = None
    """Where it runs; `None` is where we do."""
    relay_output: bool = False
    """Its standard error goes through our log; else it writes structured lines itself."""


@dataclass(slots=True)
class _Kept:
    """A program, its current process and its record."""

    program: Program
    process: asyncio.subprocess.Process | None = None
    keeper: asyncio.Task[None] | None = None
    relay: asyncio.Task[None] | None = None
    is_ending: bool = False
    has_finished: bool = False
    ends_in_a_row: int = 0
    last_words: list[str] = field(default_factory=list)


class Supervisor:
    """Starts stages of programs one after the other and keeps them until told to stop."""

    def __init__(self, stages: Sequence[Sequence[Program]], start_within: float = 30.0) -> None:
        self._stages = [[_Kept(program) for program in stage] for stage in stages]
        self._start_within = start_within
        self._stopping = False
        adopt_orphans()

    async def warm(self) -> None:
        """Let the programs that wait load themselves while other preparations go on.

        Raises:
            OperatorError: one cannot be started. Nothing is left running.
        """
        try:
            for kept in self._all():
                if kept.program.waits:
                    await self._spawn(kept, asyncio.subprocess.PIPE)
        except BaseException:
            await self.stop(hurry=True)
            raise

    async def start(self) -> None:
        """Start every stage; each is ready before the next one starts.

        Raises:
            OperatorError: a program ended or was not ready in time. Nothing is left running.
        """
        try:
            for stage in self._stages:
                for kept in stage:
                    await self._begin(kept)
                await asyncio.gather(*(self._until_ready(kept) for kept in stage))
        except BaseException:
            await self.stop(hurry=True)
            raise
        for kept in self._all():
            kept.keeper = asyncio.create_task(self._keep(kept))

    async def stop(self, hurry: bool = False) -> None:
        """End every program, the outermost first, and wait until none is left."""
        self._stopping = True
        for kept in self._all():
            if kept.keeper is not None:
                kept.keeper.cancel()
        for stage in reversed(self._stages):
            await asyncio.gather(*(_end(kept, hurry) for kept in stage))
        end_orphans()

    def kill(self) -> None:
        """End every program this instant: for a person who asked twice."""
        self._stopping = True
        for kept in self._all():
            if kept.process is not None and kept.process.returncode is None:
                _kill_group(kept.process.pid)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one program, if it is running."""
        for kept in self._all():
            if kept.program.name == name and kept.process is not None and kept.process.returncode is None:
                kept.process.send_signal(number)

    def process_ids(self) -> dict[str, int]:
        """Which process currently runs each program."""
        return {kept.program.name: kept.process.pid for kept in self._all() if kept.process is not None}

    def _all(self) -> list[_Kept]:
        return [kept for stage in self._stages for kept in stage]

    async def _begin(self, kept: _Kept) -> None:
        if kept.process is None:
            await self._spawn(kept)
        elif kept.process.stdin is not None:
            kept.process.stdin.close()

    async def _spawn(self, kept: _Kept, stdin: int = asyncio.subprocess.DEVNULL) -> None:
        program = kept.program
        try:
            kept.process = await asyncio.create_subprocess_exec(
                *program.command,
                env=program.environment,
                cwd=program.directory,
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE if program.relay_output else sys.stderr,
                stderr=asyncio.subprocess.STDOUT if program.relay_output else None,
                process_group=0,
                preexec_fn=die_with_parent(),  # one system call, no locks
            )
        except OSError as error:
            raise OperatorError(
                f"{program.name} cannot be started ({program.command[0]}: {error.strerror})"
            ) from error
        if program.relay_output:
            kept.relay = asyncio.create_task(_relay(kept, kept.process))

    async def _until_ready(self, kept: _Kept) -> None:
        start_within = kept.program.start_within or self._start_within
        deadline = time.monotonic() + start_within
        while not await kept.program.is_ready():
            process = kept.process
            if process is None or process.returncode is not None:
                raise OperatorError(f"{kept.program.name} ended while starting: {await _reason(kept)}")
            if time.monotonic() > deadline:
                raise OperatorError(f"{kept.program.name} was not ready within {start_within:.0f} seconds")
            await asyncio.sleep(0.02)

    async def _keep(self, kept: _Kept) -> None:
        """Start the program again whenever it ends."""
        while not self._stopping:
            served = 0.0 if kept.process is None else await _until_ended(kept, kept.process)
            end_orphans()
            if served >= SETTLED_AFTER:
                kept.ends_in_a_row = 0
            kept.ends_in_a_row += 1
            await _report(kept)
            await asyncio.sleep(_pause(kept.ends_in_a_row))
            try:
                await self._spawn(kept)
            except OperatorError as error:
                log.error("program_cannot_start", program=kept.program.name, reason=str(error))
                kept.process = None


def _pause(ends_in_a_row: int) -> float:
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (ends_in_a_row - 1))


async def _until_ended(kept: _Kept, process: asyncio.subprocess.Process) -> float:
    """Wait for the end of the process; returns for how many seconds the program had been ready."""
    becoming_ready = asyncio.create_task(_ready_at(kept, process))
    try:
        await process.wait()
        return time.monotonic() - becoming_ready.result() if becoming_ready.done() else 0.0
    finally:
        becoming_ready.cancel()


async def _ready_at(kept: _Kept, process: asyncio.subprocess.Process) -> float:
    while not await kept.program.is_ready():  # noqa: ASYNC110 (another process; nothing here to wake us)
        await asyncio.sleep(LOOK_AGAIN)
    if kept.ends_in_a_row:
        log.info("program_ready_again", program=kept.program.name, process=process.pid)
    return time.monotonic()


async def _report(kept: _Kept) -> None:
    """Tell of an end; a crash loop is told once."""
    name, ends = kept.program.name, kept.ends_in_a_row
    if ends < CRASH_LOOP:
        log.warning("program_ended", program=name, reason=await _reason(kept), again_in_seconds=_pause(ends))
    elif ends == CRASH_LOOP:
        log.error(
            "program_keeps_ending",
            program=name,
            times=ends,
            reason=await _reason(kept),
            advice=f"its own messages say why; it is tried again every {LONGEST_PAUSE:.0f} seconds",
        )


async def _reason(kept: _Kept) -> str:
    if kept.relay is not None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(kept.relay), 0.5)
    code = None if kept.process is None else kept.process.returncode
    if code is None:
        how = "it was not started"
    elif code < 0:
        how = f"ended by {signal.Signals(-code).name}"
    else:
        how = f"exit status {code}"
    return ": ".join([how, *kept.last_words[-1:]])


async def _end(kept: _Kept, hurry: bool) -> None:
    process = kept.process
    if process is None:
        return
    kept.is_ending = True
    within = min(kept.program.stop_within, 1.0) if hurry else kept.program.stop_within
    for number, seconds in ((kept.program.stop_signal, within), (signal.SIGTERM, 1.0)):
        if process.returncode is not None:
            break
        with suppress(ProcessLookupError):
            process.send_signal(number)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(_until_finished(kept, process), seconds)
    if process.returncode is None:
        log.warning("program_killed", program=kept.program.name, reason="it did not stop in time")
        _kill_group(process.pid)
        await process.wait()
    if kept.relay is not None:
        kept.relay.cancel()


async def _until_finished(kept: _Kept, process: asyncio.subprocess.Process) -> None:
    """Wait for the end of the process, or until two looks in a row find nothing under way in it."""
    has_finished, quiet = kept.program.has_finished, 0
    if has_finished is None or kept.has_finished:
        await process.wait()
        return
    while quiet < _LOOKS and process.returncode is None:
        quiet = quiet + 1 if await has_finished() else 0
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), LOOK_AGAIN)
    kept.has_finished = True


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


async def _relay(kept: _Kept, process: asyncio.subprocess.Process) -> None:
    """Pass a foreign program's lines through our log; the last ones are kept for the report of its end."""
    assert process.stdout is not None  # noqa: S101 # made with a pipe
    while line := await process.stdout.readline():
        text = line.decode("utf-8", "replace").rstrip()
        if text.startswith("{"):
            sys.stderr.write(text + "\n")
            continue
        kept.last_words = [*kept.last_words[1 - _LAST_WORDS :], text]
        _say(kept, text)


def _say(kept: _Kept, text: str) -> None:
    is_bad = text.startswith(("[ALERT]", "[EMERG]")) and not kept.is_ending
    say = log.error if is_bad else log.debug
    say("program_says", program=kept.program.name, text=text)


def die_with_parent() -> Callable[[], None]:
    """What a child of this process does between fork and exec so that it cannot outlive it.

    The parent may end before the child has asked the kernel: then the child's parent is another process
    already, and it ends itself.
    """
    parent = os.getpid()

    def arrange() -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return arrange


def adopt_orphans() -> None:
    """Become the parent of what a killed child leaves behind (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_orphans() -> None:
    """Kill and reap what came to us from a killed child.

    Programs lead a process group each, and what this process runs itself is in its own group; so a direct
    child that is neither is an orphan.
    """
    for pid in _children():
        with suppress(ProcessLookupError, ChildProcessError):
            if os.getpgid(pid) not in (pid, os.getpgrp()):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _children() -> frozenset[int]:
    found: set[int] = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found.update(map(int, listing.read_text().split()))
    return frozenset(found)


def _prctl(option: int, value: int) -> None:
    if _LIBC is not None:
        _LIBC.prctl(option, value, 0, 0, 0)


_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
