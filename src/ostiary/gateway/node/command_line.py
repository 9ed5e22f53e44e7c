"""One connection to HAProxy's command line: to a worker through the master, or to a worker itself.

One command is capped at the buffer size, and one that is too long is answered with the help text: whatever is
not the expected answer is an error here. Values are secrets (assertions): they are never in an exception or a
log.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

LONGEST_COMMAND: Final = 14_000
"""Bytes; HAProxy takes a little under half of `tune.bufsize 32768`."""
_BATCH: Final = 64
"""Commands sent before their answers, a line each, are read, so that neither side waits for the other."""
_BATCH_BYTES: Final = 256_000
_NOT_FOUND: Final = (["entry not found."], ["Key not found."])
_PROMPT: Final = re.compile(r"^(?:[>+] )+")
"""What a worker's own command line says before an answer; the master's does not."""
_ENDED: Final = "Can't connect to the target"
_T = TypeVar("_T")


class RuntimeRefused(Exception):
    """HAProxy did not do what a command said."""


class RuntimeUnavailable(Exception):
    """The master socket cannot be reached or does not answer in time."""


class OutOfReach(RuntimeUnavailable):
    """Nobody is at the master socket now: HAProxy is down, or loading another configuration."""


class Disconnected(Exception):
    """The connection or the worker behind it is gone."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command, short enough to be taken whole."""

    text: str
    name: str
    """What an exception may say of it."""

    def __post_init__(self) -> None:
        if len(self.text) > LONGEST_COMMAND:
            raise RuntimeRefused(f"{self.name}: longer than a command can be")


class Session:
    """One connection to the master; an answer ends with an empty line, success is nothing else."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout: float) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout = timeout
        self.dirty = False
        """Answers are outstanding (a time-out, a cancelled call): not to be used again."""

    async def run(self, commands: list[Command]) -> list[bool]:
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

    async def _run_batch(self, batch: list[Command]) -> list[bool]:
        async def exchange() -> list[bool]:
            self._writer.write("".join(f"{command.text}\n" for command in batch).encode())
            return [_found(command, await self._answer()) for command in batch]

        return await self._in_time(exchange())

    async def _answer(self) -> list[str]:
        lines: list[str] = []
        while line := (await self._reader.readuntil(b"\n")).decode(errors="replace").rstrip("\n"):
            if not lines:
                line = _PROMPT.sub("", line)
                if not line:
                    break
            if line.startswith(_ENDED):  # the worker has just ended; no empty line follows
                raise Disconnected
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
            raise Disconnected from error
        self.dirty = False
        return answer


def _version(answer: str) -> int:
    name, _, version = answer.rpartition(": ")
    if name.startswith("Can't find the target"):
        raise Disconnected
    if name != "New version created" or not version.isdigit():
        raise RuntimeRefused("prepare map: not accepted")
    return int(version)


def _found(command: Command, answer: list[str]) -> bool:
    if not answer or answer in _NOT_FOUND:
        return not answer
    if answer[0].startswith("Can't find the target"):
        raise Disconnected
    raise RuntimeRefused(f"{command.name}: not accepted")


def _batches(commands: list[Command]) -> Iterator[list[Command]]:
    batch: list[Command] = []
    size = 0
    for command in commands:
        if batch and (size + len(command.text) > _BATCH_BYTES or len(batch) == _BATCH):
            yield batch
            batch, size = [], 0
        batch.append(command)
        size += len(command.text)
    if batch:
        yield batch
