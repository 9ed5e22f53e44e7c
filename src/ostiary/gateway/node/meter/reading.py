"""Reads the tables HAProxy's workers count in. Blocking: on a thread of its own.

A worker is read over a connection to the statistics socket that was made while it was the current one. Such
a connection keeps a worker that was told to stop alive until we let go (or `hard-stop-after`), so what it
counted last is read before it ends. Workers from before this agent are read through the master socket, which
keeps nobody alive.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ostiary.gateway.node.meter.ledger import Count
from ostiary.gateway.node.processes import Worker, read_workers

USAGE: Final = "counts/usage"
_AT_ONCE: Final = 2**18
_MOST_ENTRIES: Final = 300_000
"""More than a table can have by its configuration."""
_END: Final = re.compile(rb"\n\n(?:> )?\Z")
_ENTRY: Final = re.compile(
    rb"^(?:> )?0x[0-9a-f]+: key=(.+?) use=\d+ exp=\d+ .*?"
    rb"(?:http_req_cnt|gpc0|bytes_in_cnt)=(\d+)(?: bytes_out_cnt=(\d+))?",
    re.MULTILINE,
)


class NotReadable(Exception):
    """The worker or its master does not answer, or not as expected."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a worker is doing."""

    name: str
    """Process id and time of start: no other worker has it."""
    pid: int
    stopping: bool
    connections: int
    """Of clients; ours does not count."""


class Line:
    """A connection on which one worker answers commands."""

    def __init__(self, path: Path, greeting: str, timeout: float) -> None:
        """Connect.

        Raises:
            NotReadable: nobody is there.
        """
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
            self._socket.sendall(greeting.encode())
        except OSError as error:
            self.close()
            raise NotReadable(str(error.strerror)) from error

    def standing(self) -> Standing:
        """Ask how the worker is doing.

        Raises:
            NotReadable: it does not say.
        """
        text = b"".join(self._answer("show info")).decode(errors="replace")
        said = dict(line.removeprefix("> ").partition(": ")[::2] for line in text.splitlines())
        try:
            pid = int(said["Pid"])
            name = f"{pid}.{int(said['Start_time_sec'])}"
            return Standing(name, pid, said["Stopping"] != "0", int(said["CurrConns"]))
        except (KeyError, ValueError) as error:
            raise NotReadable("show info: not the expected answer") from error

    def table(self, name: str) -> dict[str, Count]:
        """Read a whole table.

        Raises:
            NotReadable: it is not there, or the worker does not answer.
        """
        counts: dict[str, Count] = {}
        rest, has_begun = b"", False
        for part in self._answer(f"show table {name}"):
            whole, _, rest = (rest + part).rpartition(b"\n")
            if whole.strip() and not has_begun:
                if not whole.lstrip(b"> \n").startswith(b"# table: "):
                    raise NotReadable(f"there is no table {name}")
                has_begun = True
            for key, calls, size in _ENTRY.findall(whole):
                counts[key.decode(errors="replace")] = Count(int(calls), int(size or 0))
            if len(counts) > _MOST_ENTRIES:
                raise NotReadable(f"the table {name} has more entries than it can have")
        return counts

    def has_calls(self) -> bool:
        """Whether calls are under way at the gateway listener.

        Raises:
            NotReadable: it does not say.
        """
        return b" fe=gateway " in b"".join(self._answer("show sess"))

    def close(self) -> None:
        """Let go of the worker."""
        self._socket.close()

    def _answer(self, command: str) -> Iterator[bytes]:
        """Yield an answer in parts; an empty line ends it."""
        try:
            self._socket.sendall(f"{command}\n".encode())
            tail = b""
            while not _END.search(tail):
                part = self._socket.recv(_AT_ONCE)
                if not part:
                    raise NotReadable("the connection was closed")
                tail = (tail + part)[-4:]
                yield part
        except OSError as error:
            raise NotReadable(str(error)) from error


class Lines:
    """A connection to each live worker."""

    def __init__(self, master_socket: Path, statistics_socket: Path, *, timeout: float = 5.0) -> None:
        self._master = master_socket
        self._statistics = statistics_socket
        self._timeout = timeout

    def workers(self) -> list[Worker]:
        """List the live workers, old ones included.

        Raises:
            NotReadable: HAProxy does not run.
        """
        master = Line(self._master, "", self._timeout)
        try:
            text = b"".join(master._answer("show proc")).decode(errors="replace")
        finally:
            master.close()
        return list(read_workers(text.splitlines()))

    def open(self, worker: Worker) -> Line | None:
        """Connect to a worker; `None` when another one has taken its place: ask again."""
        if worker.old:
            return Line(self._master, f"@!{worker.pid}\n", self._timeout)
        line = Line(self._statistics, "prompt\n", self._timeout)
        try:
            if line.standing().pid == worker.pid:
                return line
        except NotReadable:
            line.close()
            raise
        line.close()
        return None
