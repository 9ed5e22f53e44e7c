"""A client of HAProxy's master socket: changes the maps of every live worker while it serves.

After a reload old workers go on deciding on their own maps until their last stream ends, so every change goes
to each worker that `show proc` names (`@!<pid>`).

While the master loads another configuration nobody listens on its socket, on a busy machine for seconds; its
workers go on, and the next one takes calls before the master is back. So the current worker is also reached
by a connection of our own to its statistics socket, and whoever answers there is a worker. Such a connection
would keep a worker alive that is to end: it is let go as soon as the master answers for that worker.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from time import monotonic
from typing import Final

from ostiary.gateway.haproxy import MAPS, MapEntry
from ostiary.gateway.node.command_line import (
    LONGEST_COMMAND,
    Command,
    Disconnected,
    OutOfReach,
    RuntimeRefused,
    RuntimeUnavailable,
    Session,
)
from ostiary.gateway.node.processes import Worker, is_alive, read_reloads, read_workers

__all__ = ["HAProxyRuntime", "RuntimeRefused", "RuntimeUnavailable", "Worker"]

_MASTER: Final = 0
_MOMENT: Final = 0.01
_LOOK_AFTER: Final = 0.05
"""Seconds without an answer after which it is looked whether the worker is still there."""
_IN_TOUCH_WITHIN: Final = 0.5
_TOUCH_EVERY: Final = 1.0
"""Seconds for which a worker that is to end may be kept alive."""
_SIZE: Final = re.compile(rf"^\d+ \({MAPS}/([^)]+)\) .* entry_cnt=(\d+)$")


class HAProxyRuntime:
    """Changes map entries on every live worker, one change after another.

    Every method raises `RuntimeUnavailable` when HAProxy is not there or does not answer within `timeout`
    seconds for a batch of commands.
    """

    def __init__(
        self, master_socket: Path, statistics_socket: Path | None = None, *, timeout: float = 2.0
    ) -> None:
        """Without a `statistics_socket` nobody is reached while the master is not there."""
        self._socket = master_socket
        self._statistics = statistics_socket
        self._direct: dict[int, Session] = {}
        self._listed: list[Worker] = []
        self._master_answers = False
        self._touch_again_at = 0.0
        self._timeout = timeout
        self._sessions: dict[int, Session] = {}
        self._turn = asyncio.Lock()

    async def workers(self) -> list[Worker]:
        """List the live workers, old ones included."""
        async with self._turn:
            workers = await self._list_workers()
            if self._master_answers and monotonic() >= self._touch_again_at:
                self._touch_again_at = monotonic() + _TOUCH_EVERY
                with suppress(TimeoutError):  # a worker that is slow to answer holds up nothing
                    async with asyncio.timeout(_IN_TOUCH_WITHIN):
                        await self._stay_in_touch(workers)
            return workers

    async def reloads(self) -> dict[str, float]:
        """Say how often HAProxy has reloaded, how often in vain, and how old its current worker is."""
        async with self._turn:
            session = await self._session(_MASTER)
            try:
                return read_reloads(await session.answer_to("show proc"))
            except Disconnected as error:
                self._drop(_MASTER)
                raise OutOfReach("HAProxy's master socket closes the connection") from error

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

        async def look(session: Session) -> None:
            for line in await session.answer_to("show map"):
                if counted := _SIZE.search(line):
                    found[counted[1]] = int(counted[2])

        async with self._turn:
            await self._on(pid, look)
        return found

    async def told(self, pid: int, *commands: str) -> list[list[str]]:
        """Say what a worker answers to these commands, as lines; nothing once it has ended."""
        answers: list[list[str]] = []

        async def ask(session: Session) -> None:
            answers[:] = [await session.answer_to(text) for text in commands]

        async with self._turn:
            await self._on(pid, ask)
        return answers or [[] for _ in commands]

    async def move_servers(self, moves: Iterable[tuple[str, str, int]]) -> None:
        """Give servers (`backend/server`) other addresses and ports, on every live worker that has them."""
        texts = [f"set server {server} addr {address} port {port}" for server, address, port in moves]

        async def move(session: Session) -> None:
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
        for pid in {*self._sessions, *self._direct}:
            self._drop(pid)

    async def _on(self, pid: int, work: Callable[[Session], Awaitable[None]]) -> None:
        """Do `work` on one worker; a worker that has ended meanwhile needs none.

        A worker that ends closes its connections a moment before the master takes it off its list, and a
        master that loads a new configuration is out of reach for a moment.
        """
        deadline = monotonic() + self._timeout
        while True:
            try:
                await self._while_it_lives(pid, work)
                return
            except (Disconnected, OutOfReach) as error:
                self._drop(pid)
                if monotonic() > deadline:
                    raise RuntimeUnavailable("a worker does not take commands") from error
            with suppress(OutOfReach):
                if pid not in [worker.pid for worker in await self._list_workers()]:
                    return
            await asyncio.sleep(_MOMENT)

    async def _while_it_lives(self, pid: int, work: Callable[[Session], Awaitable[None]]) -> None:
        """Do the work, and wait for no worker that has ended: what it had not read is never answered."""
        task = asyncio.ensure_future(work(await self._session(pid)))
        try:
            while not (await asyncio.wait([task], timeout=_LOOK_AFTER))[0]:
                with suppress(OutOfReach):
                    if pid not in [worker.pid for worker in await self._list_workers()]:
                        raise Disconnected
            task.result()
        finally:
            task.cancel()

    async def _change(self, session: Session, run: list[MapEntry]) -> None:
        if run[0].value is None:
            await session.run([self._command("del", entry) for entry in run])
        elif run[0].map.startswith("decisions-"):
            pairs = [self._command(verb, entry) for entry in run for verb in ("del", "add")]
            await session.run(pairs)
        else:
            found = await session.run([self._command("set", entry) for entry in run])
            missing = [entry for entry, was_there in zip(run, found, strict=True) if not was_there]
            last = {(entry.map, entry.key): entry for entry in missing}  # what is added twice is there twice
            await session.run([self._command("add", entry) for entry in last.values()])

    async def _replace(self, session: Session, maps: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        versions = await session.prepare([f"prepare map {MAPS}/{name}" for name in maps])
        places = [f"@{version} {MAPS}/{name}" for name, version in zip(maps, versions, strict=True)]
        contents = zip(places, maps.values(), strict=True)
        await session.run(
            [one for place, content in contents for one in _payloads(f"add map {place}", content)]
        )
        await session.run([Command(f"commit map {place}", "commit map") for place in places])

    def _command(self, verb: str, entry: MapEntry) -> Command:
        value = [] if verb == "del" or entry.value is None else [entry.value]
        words = [verb, "map", f"{MAPS}/{entry.map}", entry.key, *value]
        return Command(" ".join(words), f"{verb} {entry.map}")

    async def _targets(self, pid: int | None) -> list[int]:
        return [pid] if pid is not None else [worker.pid for worker in await self._list_workers()]

    async def _list_workers(self) -> list[Worker]:
        try:
            workers = await self._listed_by_master()
        except OutOfReach:
            self._master_answers = False
            workers = await self._known_to_live()
        else:
            self._master_answers = True
        self._listed = workers
        for pid in {*self._sessions, *self._direct} - {_MASTER} - {worker.pid for worker in workers}:
            self._drop(pid)
        return workers

    async def _known_to_live(self) -> list[Worker]:
        """Say who lives while the master does not: those it named last, and whoever took their place.

        Raises:
            OutOfReach: nobody.
        """
        newest = await self._connect_directly()
        living = [worker for worker in self._listed if is_alive(worker.pid)]
        if newest is not None and newest not in [worker.pid for worker in living]:
            living.insert(0, Worker(newest, old=False))
        if self._statistics is None or not living:
            raise OutOfReach("HAProxy's master is not there")
        return living

    async def _stay_in_touch(self, workers: Sequence[Worker]) -> None:
        """Keep a connection of our own to the current worker, and to none that is to end."""
        current = next((worker.pid for worker in workers if not worker.old), None)
        for pid, session in list(self._direct.items()):
            if pid != current or (not session.dirty and await self._is_ending(session)):
                self._direct.pop(pid).close()
                current = None if pid == current else current
        if current is not None and current not in self._direct:
            await self._connect_directly()

    async def _is_ending(self, session: Session) -> bool:
        try:
            return "Stopping: 0" not in await session.answer_to("show info")
        except (Disconnected, RuntimeUnavailable):
            return True

    async def _connect_directly(self) -> int | None:
        """Connect to whoever answers at the statistics socket now; its process id."""
        if self._statistics is None:
            return None
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._statistics), limit=2**20)
        except OSError:
            return None
        session = Session(reader, writer, self._timeout)
        try:
            about = await session.answer_to("prompt") + await session.answer_to("show info")
        except (Disconnected, RuntimeUnavailable):
            about = []
        finally:
            if session.dirty:  # it failed, or was waited for no longer
                session.close()
        found = next((int(line[5:]) for line in about if line.startswith("Pid: ")), None)
        if found is None or found in self._direct or "Stopping: 0" not in about:
            session.close()
        else:
            self._direct[found] = session
        return found

    async def _listed_by_master(self) -> list[Worker]:
        for _ in range(2):  # the kept connection may have been closed
            try:
                lines = await (await self._session(_MASTER)).answer_to("show proc")
                break
            except Disconnected:
                self._drop(_MASTER)
        else:
            raise OutOfReach("HAProxy's master socket closes the connection")
        return list(read_workers(lines))

    async def _session(self, pid: int) -> Session:
        session = self._direct.get(pid) or self._sessions.get(pid)
        if session is None or session.dirty:
            self._drop(pid)
            session = self._sessions[pid] = await self._open(pid)
        return session

    async def _open(self, pid: int) -> Session:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket), limit=2**20)
        except OSError as error:
            raise OutOfReach(f"HAProxy's master socket {self._socket}: {error.strerror}") from error
        if pid != _MASTER:
            writer.write(f"@!{pid}\n".encode())
        return Session(reader, writer, self._timeout)

    def _drop(self, pid: int) -> None:
        for sessions in (self._direct, self._sessions):
            session = sessions.pop(pid, None)
            if session is not None:
                session.close()


def _kind(entry: MapEntry) -> tuple[str, bool]:
    """Changes of one kind go out together; the next kind waits until they are done."""
    return entry.map.partition("-")[0], entry.value is None


def _payloads(head: str, content: Sequence[tuple[str, str]]) -> Iterator[Command]:
    """Write many entries as few `add map` commands; an empty line ends the payload of each."""
    lines: list[str] = []
    size = len(head) + 8
    for key, value in content:
        line = f"{key} {value}\n"
        if lines and size + len(line) > LONGEST_COMMAND:
            yield Command(f"{head} <<\n{''.join(lines)}", "add map")
            lines, size = [], len(head) + 8
        lines.append(line)
        size += len(line)
    if lines:
        yield Command(f"{head} <<\n{''.join(lines)}", "add map")
