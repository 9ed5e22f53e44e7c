"""A client of HAProxy's master socket: changes the maps of every live worker while it serves.

After a reload old workers go on deciding on their own maps until their last stream ends, so every change goes
to each worker that `show proc` names (`@!<pid>`). One command is capped at the buffer size, and the master
answers a command that is too long with its help text: whatever is not the expected answer is an error here.
Values are secrets (assertions): they are never in an exception or a log.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from ostiary.gateway.haproxy import MapEntry

COMMAND: Final = 14_000
"""Bytes of one command; HAProxy takes a little under half of `tune.bufsize 32768`."""
_BATCH: Final = 64
"""Commands sent before their answers are read, so that neither side waits for the other."""
_NOT_FOUND: Final = "entry not found."


class RuntimeRefused(Exception):
    """HAProxy did not do what a command said."""


class RuntimeUnavailable(Exception):
    """The master socket cannot be reached or does not answer in time."""


class _WorkerGone(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Worker:
    """One live worker process; `old` ones finish their streams after a reload."""

    pid: int
    old: bool


class HAProxyRuntime:
    """Sets and deletes map entries on every live worker. Changes are applied one `apply` after another."""

    def __init__(self, master_socket: Path, maps: Path, *, timeout: float = 2.0) -> None:
        self._socket = master_socket
        self._maps = maps
        self._timeout = timeout
        self._sessions: dict[int, _Session] = {}
        self._turn = asyncio.Lock()

    async def workers(self) -> list[Worker]:
        """List the live workers, old ones included.

        Raises:
            RuntimeUnavailable: HAProxy is not there.
        """
        async with self._turn, self._deadline():
            return await self._list_workers()

    async def set_entry(self, map: str, key: str, value: str) -> None:
        """Set one entry on every live worker, adding it where it is not there."""
        await self.apply([MapEntry(map, key, value)])

    async def delete_entry(self, map: str, key: str) -> None:
        """Delete one entry on every live worker; it need not be there."""
        await self.apply([MapEntry(map, key, None)])

    async def apply(self, changes: Sequence[MapEntry], *, pid: int | None = None) -> None:
        """Make these changes, in their order, on every live worker or on one.

        A replaced decision is missing for a moment (a miss); any other entry changes from one value to the
        next. Safe to repeat.

        Raises:
            RuntimeRefused: a worker did not take a change; what came before it has been applied.
            RuntimeUnavailable: HAProxy is not there or hangs.
        """
        async with self._turn:
            await self._on_workers(pid, changes)

    async def replace(self, map: str, entries: Iterable[tuple[str, str]], *, pid: int | None = None) -> None:
        """Replace the whole content of a map in one step on every live worker or on one."""
        content = list(entries)
        async with self._turn:
            async with self._deadline():
                targets = await self._targets(pid)
            for target in targets:
                await self._surviving(target, self._replace(target, map, content))

    async def reload(self) -> None:
        """Start new workers on the configuration as it is on disk; the old ones finish their streams.

        Raises:
            RuntimeRefused: the configuration does not load; the workers before go on.
        """
        async with self._turn:
            session = await self._open(None)
            try:
                answer = await asyncio.wait_for(session.reload(), 30)
            except TimeoutError as error:
                raise RuntimeUnavailable("the reload did not end in time") from error
            finally:
                session.close()
            if not answer.startswith("Success=1"):
                raise RuntimeRefused(f"the reload failed: {answer}")

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    async def _on_workers(self, pid: int | None, changes: Sequence[MapEntry]) -> None:
        async with self._deadline():
            targets = await self._targets(pid)
        for target in targets:
            for _, run in groupby(changes, key=_order):
                await self._surviving(target, self._change(target, list(run)))

    async def _surviving(self, pid: int, work: AsyncIterator[None]) -> None:
        """Do work on one worker in steps with a deadline each; a worker that has ended needs none."""
        try:
            while True:
                async with self._deadline():
                    if await anext(work, _END) is _END:
                        return
        except _WorkerGone:
            self._drop(pid)
            async with self._deadline():
                if any(worker.pid == pid for worker in await self._list_workers()):
                    raise RuntimeUnavailable("a worker does not answer") from None
        except BaseException:
            self._drop(pid)  # answers may be outstanding: this connection cannot be used again
            raise

    async def _change(self, pid: int, run: list[MapEntry]) -> AsyncIterator[None]:
        session = await self._session(pid)
        if run[0].value is None:
            commands = [self._command("del", entry) for entry in run]
            async for _ in session.run(commands, absent_is_fine=True):
                yield
        elif _is_decision(run[0]):
            commands = [self._command(verb, entry) for entry in run for verb in ("del", "add")]
            async for _ in session.run(commands, absent_is_fine=True):
                yield
        else:
            missing: list[MapEntry] = []
            for batch in _batches(run):
                answers = await session.ask([self._command("set", entry) for entry in batch])
                missing += [entry for entry, found in zip(batch, answers, strict=True) if not found]
                yield
            async for _ in session.run([self._command("add", entry) for entry in missing]):
                yield

    async def _replace(self, pid: int, map: str, content: list[tuple[str, str]]) -> AsyncIterator[None]:
        session = await self._session(pid)
        version = await session.prepare(f"prepare map {self._maps / map}")
        payloads = _payloads(content, f"add map @{version} {self._maps / map} <<")
        commands = [*payloads, _Command(f"commit map @{version} {self._maps / map}", f"commit {map}")]
        async for _ in session.run(commands):
            yield

    def _command(self, verb: str, entry: MapEntry) -> _Command:
        words = [verb, "map", str(self._maps / entry.map), entry.key]
        if verb != "del":
            words.append(entry.value or "")
        return _Command(" ".join(words), f"{verb} {entry.map}")

    async def _targets(self, pid: int | None) -> list[int]:
        return [pid] if pid is not None else [worker.pid for worker in await self._list_workers()]

    async def _list_workers(self) -> list[Worker]:
        master = 0
        try:
            lines = await (await self._session(master)).lines("show proc")
        except _WorkerGone:
            self._drop(master)
            try:
                lines = await (await self._session(master)).lines("show proc")
            except _WorkerGone as error:
                raise RuntimeUnavailable("the master socket closes the connection") from error
        workers = list(_read_workers(lines))
        for pid in self._sessions.keys() - {master} - {worker.pid for worker in workers}:
            self._drop(pid)
        return workers

    async def _session(self, pid: int) -> _Session:
        if pid not in self._sessions:
            self._sessions[pid] = await self._open(pid or None)
        return self._sessions[pid]

    async def _open(self, pid: int | None) -> _Session:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket), limit=2**20)
        except OSError as error:
            raise RuntimeUnavailable(f"HAProxy's master socket {self._socket}: {error.strerror}") from error
        session = _Session(reader, writer)
        if pid is not None:
            session.turn_to(pid)
        return session

    def _drop(self, pid: int) -> None:
        session = self._sessions.pop(pid, None)
        if session is not None:
            session.close()

    @contextlib.asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError as error:
            self.close()
            raise RuntimeUnavailable("HAProxy does not answer on its master socket") from error
        except BaseException:
            raise


_END: Final = object()


@dataclass(frozen=True, slots=True)
class _Command:
    text: str
    name: str
    """What an exception may say of it."""

    def __post_init__(self) -> None:
        if len(self.text) > COMMAND:
            raise RuntimeRefused(f"{self.name}: longer than a command can be")


class _Session:
    """One connection to the master; an answer ends with an empty line, success is nothing else."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def turn_to(self, pid: int) -> None:
        self._writer.write(f"@!{pid}\n".encode())

    async def run(self, commands: list[_Command], *, absent_is_fine: bool = False) -> AsyncIterator[None]:
        for batch in _batches(commands):
            answers = await self.ask(batch)
            if not absent_is_fine and not all(answers):
                raise RuntimeRefused(f"{batch[answers.index(False)].name}: no such entry")
            yield

    async def ask(self, commands: list[_Command]) -> list[bool]:
        """Send commands, and say of each whether its entry was there."""
        self._write("".join(f"{command.text}\n" for command in commands))
        return [await self._done(command) for command in commands]

    async def lines(self, text: str) -> list[str]:
        self._write(f"{text}\n")
        return await self._answer()

    async def prepare(self, text: str) -> int:
        answer = await self.lines(text)
        name, _, version = "".join(answer).rpartition(": ")
        if name != "New version created" or not version.isdigit():
            raise RuntimeRefused("prepare map: not accepted")
        return int(version)

    async def reload(self) -> str:
        self._write("reload\n")
        with contextlib.suppress(OSError):
            return (await self._reader.read()).decode(errors="replace").strip()
        return ""

    def close(self) -> None:
        self._writer.close()

    async def _done(self, command: _Command) -> bool:
        answer = await self._answer()
        if answer and answer != [_NOT_FOUND]:
            gone = answer[0].startswith("Can't find the target")
            raise _WorkerGone if gone else RuntimeRefused(f"{command.name}: not accepted")
        return not answer

    async def _answer(self) -> list[str]:
        lines: list[str] = []
        try:
            while line := (await self._reader.readuntil(b"\n")).decode(errors="replace").rstrip("\n"):
                lines.append(line)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            raise _WorkerGone from error
        return lines

    def _write(self, text: str) -> None:
        try:
            self._writer.write(text.encode())
        except (OSError, RuntimeError) as error:
            raise _WorkerGone from error


def _read_workers(lines: Iterable[str]) -> Iterator[Worker]:
    old = False
    for line in lines:
        if line.startswith("#"):
            old = line.startswith("# old")
            continue
        words = line.split()
        if len(words) > 1 and words[1] == "worker" and words[0].isdigit():
            yield Worker(int(words[0]), old)


def _is_decision(entry: MapEntry) -> bool:
    return entry.map.startswith("decisions-")


def _order(entry: MapEntry) -> tuple[str, bool]:
    """Changes of one kind go out together; the next kind waits until they are done."""
    return entry.map.partition("-")[0], entry.value is None


_T = MapEntry | _Command


def _batches(items: list) -> Iterator[list]:
    batch, size = [], 0
    for item in items:
        length = len(item.text) if isinstance(item, _Command) else sum(len(part or "") for part in item)
        if batch and (size + length > COMMAND or len(batch) == _BATCH):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch


def _payloads(content: list[tuple[str, str]], head: str) -> Iterator[_Command]:
    lines: list[str] = []
    size = 0
    for key, value in content:
        line = f"{key} {value}\n"
        if lines and size + len(line) > COMMAND - len(head) - 100:
            yield _Command(f"{head}\n{''.join(lines)}", "add map")
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield _Command(f"{head}\n{''.join(lines)}", "add map")
