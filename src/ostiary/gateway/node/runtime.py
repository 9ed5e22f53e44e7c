"""A client of HAProxy's master socket: changes the maps of every live worker while it serves.

After a reload old workers go on deciding on their own maps until their last stream ends, so every change goes
to each worker that `show proc` names (`@!<pid>`). One command is capped at the buffer size, and one that is
too long is answered with the help text: whatever is not the expected answer is an error here. Values are
secrets (assertions): they are never in an exception or a log.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar

from ostiary.gateway.haproxy import MAPS, MapEntry
from ostiary.gateway.node.processes import Worker, read_reloads, read_workers

__all__ = ["HAProxyRuntime", "RuntimeRefused", "RuntimeUnavailable", "Worker"]

_LONGEST_COMMAND: Final = 14_000
"""Bytes; HAProxy takes a little under half of `tune.bufsize 32768`."""
_BATCH: Final = 64
"""Commands sent before their answers, a line each, are read, so that neither side waits for the other."""
_BATCH_BYTES: Final = 256_000
_NOT_FOUND: Final = (["entry not found."], ["Key not found."])
_ENDED: Final = "Can't connect to the target"
_MASTER: Final = 0
_MOMENT: Final = 0.01
_LOOK_AFTER: Final = 0.05
"""Seconds without an answer after which it is looked whether the worker is still there."""
_SIZE: Final = re.compile(rf"^\d+ \({MAPS}/([^)]+)\) .* entry_cnt=(\d+)$")
_T = TypeVar("_T")


class RuntimeRefused(Exception):
    """HAProxy did not do what a command said."""


class RuntimeUnavailable(Exception):
    """The master socket cannot be reached or does not answer in time."""


class _OutOfReach(RuntimeUnavailable):
    """Nobody is at the master socket now: HAProxy is down, or loading another configuration."""


class _Disconnected(Exception):
    """The connection or the worker behind it is gone."""


@dataclass(frozen=True, slots=True)
class _Command:
    text: str
    name: str
    """What an exception may say of it."""

    def __post_init__(self) -> None:
        if len(self.text) > _LONGEST_COMMAND:
            raise RuntimeRefused(f"{self.name}: longer than a command can be")


class HAProxyRuntime:
    """Changes map entries on every live worker, one change after another.

    Every method raises `RuntimeUnavailable` when HAProxy is not there or does not answer within `timeout`
    seconds for a batch of commands.
    """

    def __init__(self, master_socket: Path, *, timeout: float = 2.0) -> None:
        self._socket = master_socket
        self._timeout = timeout
        self._sessions: dict[int, _Session] = {}
        self._turn = asyncio.Lock()

    async def workers(self) -> list[Worker]:
        """List the live workers, old ones included."""
        async with self._turn:
            return await self._list_workers()

    async def reloads(self) -> dict[str, float]:
        """Say how often HAProxy has reloaded, how often in vain, and how old its current worker is."""
        async with self._turn:
            session = await self._session(_MASTER)
            try:
                return read_reloads(await session.answer_to("show proc"))
            except _Disconnected as error:
                self._drop(_MASTER)
                raise _OutOfReach("HAProxy's master socket closes the connection") from error

    async def set_entry(self, map: str, key: str, value: str) -> None:
        """Set one entry on every live worker, adding it where it is not there."""
        await self.apply([MapEntry(map, key, value)])

    async def delete_entry(self, map: str, key: str) -> None:
        """Delete one entry on every live worker; it need not be there."""
        await self.apply([MapEntry(map, key, None)])

    async def apply(self, changes: Sequence[MapEntry], *, pid: int | None = None) -> None:
        """Make these changes, in their order, on every live worker or on one. Safe to repeat.

        A replaced decision is missing for a moment (a miss); any other entry changes from one value to the
        next.

        Raises:
            RuntimeRefused: a worker did not take a change; what came before it has been applied.
        """
        runs = [list(run) for _, run in groupby(changes, key=_kind)]
        async with self._turn:
            for target in await self._targets(pid):
                for run in runs:
                    await self._on(target, lambda session, run=run: self._change(session, run))  # type: ignore[misc]

    async def replace(self, maps: Mapping[str, Sequence[tuple[str, str]]], *, pid: int | None = None) -> None:
        """Replace the whole content of these maps, each in one step, on every live worker or on one.

        Raises:
            RuntimeRefused: a worker did not take it; maps of it may be as before.
        """
        async with self._turn:
            for target in await self._targets(pid):
                await self._on(target, lambda session: self._replace(session, maps))

    async def sizes(self, pid: int) -> Mapping[str, int]:
        """Say of each map of a worker how many entries it has."""
        found: dict[str, int] = {}

        async def look(session: _Session) -> None:
            for line in await session.answer_to("show map"):
                if counted := _SIZE.search(line):
                    found[counted[1]] = int(counted[2])

        async with self._turn:
            await self._on(pid, look)
        return found

    async def told(self, pid: int, *commands: str) -> list[list[str]]:
        """Say what a worker answers to these commands, as lines; nothing once it has ended."""
        answers: list[list[str]] = []

        async def ask(session: _Session) -> None:
            answers[:] = [await session.answer_to(text) for text in commands]

        async with self._turn:
            await self._on(pid, ask)
        return answers or [[] for _ in commands]

    async def move_servers(self, moves: Iterable[tuple[str, str, int]]) -> None:
        """Give servers (`backend/server`) other addresses and ports, on every live worker that has them."""
        texts = [f"set server {server} addr {address} port {port}" for server, address, port in moves]

        async def move(session: _Session) -> None:
            for text in texts:
                await session.answer_to(text)

        async with self._turn:
            for target in await self._targets(None):
                await self._on(target, move)

    async def reload(self) -> None:
        """Start new workers on the configuration as it is on disk; the old ones finish their streams.

        Raises:
            RuntimeRefused: the configuration does not load; the workers before it go on.
        """
        async with self._turn:
            session = await self._open(_MASTER)
            try:
                answer = await session.until_closed("reload")
            finally:
                session.close()
        if not answer.startswith("Success=1"):
            raise RuntimeRefused(f"the reload failed: {answer}")

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
        for pid in list(self._sessions):
            self._drop(pid)

    async def _on(self, pid: int, work: Callable[[_Session], Awaitable[None]]) -> None:
        """Do `work` on one worker; a worker that has ended meanwhile needs none.

        A worker that ends closes its connections a moment before the master takes it off its list, and a
        master that loads a new configuration is out of reach for a moment.
        """
        deadline = monotonic() + self._timeout
        while True:
            try:
                await self._while_it_lives(pid, work)
                return
            except (_Disconnected, _OutOfReach) as error:
                self._drop(pid)
                if monotonic() > deadline:
                    raise RuntimeUnavailable("a worker does not take commands") from error
            with suppress(_OutOfReach):
                if pid not in [worker.pid for worker in await self._list_workers()]:
                    return
            await asyncio.sleep(_MOMENT)

    async def _while_it_lives(self, pid: int, work: Callable[[_Session], Awaitable[None]]) -> None:
        """Do the work, and wait for no worker that has ended: what it had not read is never answered."""
        task = asyncio.ensure_future(work(await self._session(pid)))
        try:
            while not (await asyncio.wait([task], timeout=_LOOK_AFTER))[0]:
                with suppress(_OutOfReach):
                    if pid not in [worker.pid for worker in await self._list_workers()]:
                        raise _Disconnected
            task.result()
        finally:
            task.cancel()

    async def _change(self, session: _Session, run: list[MapEntry]) -> None:
        if run[0].value is None:
            await session.run([self._command("del", entry) for entry in run])
        elif run[0].map.startswith("decisions-"):
            pairs = [self._command(verb, entry) for entry in run for verb in ("del", "add")]
            await session.run(pairs)
        else:
            found = await session.run([self._command("set", entry) for entry in run])
            missing = [entry for entry, was_there in zip(run, found, strict=True) if not was_there]
            await session.run([self._command("add", entry) for entry in missing])

    async def _replace(self, session: _Session, maps: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        versions = await session.prepare([f"prepare map {MAPS}/{name}" for name in maps])
        places = [f"@{version} {MAPS}/{name}" for name, version in zip(maps, versions, strict=True)]
        contents = zip(places, maps.values(), strict=True)
        await session.run(
            [one for place, content in contents for one in _payloads(f"add map {place}", content)]
        )
        await session.run([_Command(f"commit map {place}", "commit map") for place in places])

    def _command(self, verb: str, entry: MapEntry) -> _Command:
        value = [] if verb == "del" or entry.value is None else [entry.value]
        words = [verb, "map", f"{MAPS}/{entry.map}", entry.key, *value]
        return _Command(" ".join(words), f"{verb} {entry.map}")

    async def _targets(self, pid: int | None) -> list[int]:
        return [pid] if pid is not None else [worker.pid for worker in await self._list_workers()]

    async def _list_workers(self) -> list[Worker]:
        for _ in range(2):  # the kept connection may have been closed
            try:
                lines = await (await self._session(_MASTER)).answer_to("show proc")
                break
            except _Disconnected:
                self._drop(_MASTER)
        else:
            raise _OutOfReach("HAProxy's master socket closes the connection")
        workers = list(read_workers(lines))
        for pid in self._sessions.keys() - {_MASTER} - {worker.pid for worker in workers}:
            self._drop(pid)
        return workers

    async def _session(self, pid: int) -> _Session:
        session = self._sessions.get(pid)
        if session is None or session.dirty:
            self._drop(pid)
            session = self._sessions[pid] = await self._open(pid)
        return session

    async def _open(self, pid: int) -> _Session:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket), limit=2**20)
        except OSError as error:
            raise _OutOfReach(f"HAProxy's master socket {self._socket}: {error.strerror}") from error
        if pid != _MASTER:
            writer.write(f"@!{pid}\n".encode())
        return _Session(reader, writer, self._timeout)

    def _drop(self, pid: int) -> None:
        session = self._sessions.pop(pid, None)
        if session is not None:
            session.close()


class _Session:
    """One connection to the master; an answer ends with an empty line, success is nothing else."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout: float) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout = timeout
        self.dirty = False
        """Answers are outstanding (a time-out, a cancelled call): not to be used again."""

    async def run(self, commands: list[_Command]) -> list[bool]:
        """Run commands and say of each whether its entry was there."""
        return [found for batch in _batches(commands) for found in await self._run_batch(batch)]

    async def answer_to(self, text: str) -> list[str]:
        async def exchange() -> list[str]:
            self._writer.write(f"{text}\n".encode())
            return await self._answer()

        return await self._in_time(exchange())

    async def prepare(self, texts: Sequence[str]) -> list[int]:
        return [
            version
            for begin in range(0, len(texts), _BATCH)
            for version in await self._in_time(self._prepare(texts[begin : begin + _BATCH]))
        ]

    async def _prepare(self, texts: Sequence[str]) -> list[int]:
        self._writer.write("".join(f"{text}\n" for text in texts).encode())
        return [_version("".join(await self._answer())) for _ in texts]

    async def until_closed(self, text: str) -> str:
        self._timeout = max(self._timeout, 30)  # a reload waits until the new worker runs

        async def exchange() -> str:
            self._writer.write(f"{text}\n".encode())
            return (await self._reader.read()).decode(errors="replace").strip()

        return await self._in_time(exchange())

    def close(self) -> None:
        self._writer.close()

    async def _run_batch(self, batch: list[_Command]) -> list[bool]:
        async def exchange() -> list[bool]:
            self._writer.write("".join(f"{command.text}\n" for command in batch).encode())
            return [_found(command, await self._answer()) for command in batch]

        return await self._in_time(exchange())

    async def _answer(self) -> list[str]:
        lines: list[str] = []
        while line := (await self._reader.readuntil(b"\n")).decode(errors="replace").rstrip("\n"):
            if line.startswith(_ENDED):  # the worker has just ended; no empty line follows
                raise _Disconnected
            lines.append(line)
        return lines

    async def _in_time(self, exchange: Awaitable[_T]) -> _T:
        self.dirty = True
        try:
            async with asyncio.timeout(self._timeout):
                answer = await exchange
        except TimeoutError as error:
            raise RuntimeUnavailable("HAProxy does not answer on its master socket") from error
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            raise _Disconnected from error
        self.dirty = False
        return answer


def _version(answer: str) -> int:
    name, _, version = answer.rpartition(": ")
    if name.startswith("Can't find the target"):
        raise _Disconnected
    if name != "New version created" or not version.isdigit():
        raise RuntimeRefused("prepare map: not accepted")
    return int(version)


def _found(command: _Command, answer: list[str]) -> bool:
    if not answer or answer in _NOT_FOUND:
        return not answer
    if answer[0].startswith("Can't find the target"):
        raise _Disconnected
    raise RuntimeRefused(f"{command.name}: not accepted")


def _kind(entry: MapEntry) -> tuple[str, bool]:
    """Changes of one kind go out together; the next kind waits until they are done."""
    return entry.map.partition("-")[0], entry.value is None


def _batches(commands: list[_Command]) -> Iterator[list[_Command]]:
    batch: list[_Command] = []
    size = 0
    for command in commands:
        if batch and (size + len(command.text) > _BATCH_BYTES or len(batch) == _BATCH):
            yield batch
            batch, size = [], 0
        batch.append(command)
        size += len(command.text)
    if batch:
        yield batch


def _payloads(head: str, content: Sequence[tuple[str, str]]) -> Iterator[_Command]:
    """Write many entries as few `add map` commands; an empty line ends the payload of each."""
    lines: list[str] = []
    size = len(head) + 8
    for key, value in content:
        line = f"{key} {value}\n"
        if lines and size + len(line) > _LONGEST_COMMAND:
            yield _Command(f"{head} <<\n{''.join(lines)}", "add map")
            lines, size = [], len(head) + 8
        lines.append(line)
        size += len(line)
    if lines:
        yield _Command(f"{head} <<\n{''.join(lines)}", "add map")
