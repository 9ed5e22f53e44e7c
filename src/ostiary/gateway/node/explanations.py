"""What the node remembers of refused calls, for `ostiary explain`: bounded in memory, work and traffic.

HAProxy sends the access log's lines of refused calls as datagrams; what the agent checked itself is noted at
the miss. Both meet here under the request identifier and go to the control plane in small batches. All of it
may be lost under a flood, and nothing waits for it: beyond a number a second nothing is read, so the kernel
drops, and no organization takes more than its share.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.haproxy.access_log import NOTHING
from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown
from ostiary.gateway.node.explaining import Step
from ostiary.gateway.node.refused_calls import advice, call_steps

_log = get_logger(__name__)
KEPT: Final = 10_000
LINES_A_SECOND: Final = 200
OF_ONE_ORGANIZATION: Final = 100
"""The most a second that are kept of one organization's calls."""
_BATCH: Final = 200
_LARGEST: Final = 8192
_TEXTS: Final = (
    *("node", "request_id", "trace_id", "organization", "api", "application", "method", "path", "refusal"),
    *("code", "wanted", "had", "client", "backend", "termination"),
)
_TOLD: Final = {name: 36 for name in _TEXTS if name not in ("wanted", "had", "backend")} | {
    "request_id": 64,
    "node": 100,
    "organization": 63,
    "api": 64,
    "application": 128,
    "path": 512,
    "client": 64,
}
"""What is passed on, and how much: the control plane takes no more, and one long text would cost a batch."""
_NUMBERS: Final = ("status", "milliseconds", "backend_milliseconds")
_ORGANIZATION: Final = re.compile(r"/t/([a-z0-9][a-z0-9_-]{1,62})(?:/|\Z)")


class Explanations:
    """Refused calls of the last moments, and those on their way to the control plane."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._noted: OrderedDict[str, list[Step]] = OrderedDict()
        self._waiting: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._second = 0
        self._taken: Counter[str] = Counter()
        self.lost = 0
        """How many were not kept."""

    def may_note(self) -> bool:
        """Whether there is room in this second for the steps of another miss."""
        return self._admit("")

    def note(self, request_id: str, steps: Sequence[Step]) -> None:
        """Remember what the agent checked itself; the line of the call comes later."""
        self._noted[request_id] = list(steps)
        if len(self._noted) > KEPT:
            self._noted.popitem(last=False)

    def line(self, text: bytes) -> None:
        """Take one line of the access log; what is none is ignored."""
        line = _read(text)
        if line is None or (line["backend"] == "workers" and not line["refusal"]):
            return  # what a worker refused it explains itself
        organization = line["organization"] or _organization(line["path"])
        if not self._admit(organization):
            return
        steps = call_steps(line, self._noted.pop(line["request_id"], []))
        self._waiting[line["request_id"]] = {
            **{name: line[name][:longest].replace("\0", "") for name, longest in _TOLD.items()},
            **{name: line[name] for name in _NUMBERS},
            "organization": organization[:63],
            "at": self._now(),
            "steps": [step.as_wire() for step in steps],
            "advice": advice(line),
        }
        if len(self._waiting) > KEPT:
            self._waiting.popitem(last=False)
            self.lost += 1

    def batch(self) -> list[dict[str, Any]]:
        """Return the oldest that are not told yet."""
        return [self._waiting[id] for id, _ in zip(self._waiting, range(_BATCH), strict=False)]

    def told(self, batch: Sequence[Mapping[str, Any]]) -> None:
        """Forget what the control plane has."""
        for one in batch:
            self._waiting.pop(one["request_id"], None)

    def _admit(self, organization: str) -> bool:
        second = int(self._now())
        if second != self._second:
            self._second, self._taken = second, Counter()
        self._taken[organization] += 1
        is_one_too_many = self._taken[organization] > (
            OF_ONE_ORGANIZATION if organization else LINES_A_SECOND
        )
        self.lost += is_one_too_many
        return not is_one_too_many


class LineReader:
    """Reads HAProxy's datagrams while there is room for them; the rest stays with the kernel, which drops."""

    def __init__(self, path: Path, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._left = 0
        self._is_reading = False
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        before = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(before)
        self._socket.setblocking(False)

    async def refill(self) -> None:
        """Let another second's worth in; called every second."""
        self._left = LINES_A_SECOND
        if not self._is_reading:
            self._is_reading = True
            asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        """Stop reading."""
        if self._is_reading:
            asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        try:
            text = self._socket.recv(_LARGEST)
        except OSError:
            return
        self._take(text)
        self._left -= 1
        if self._left <= 0:
            self._is_reading = False
            asyncio.get_running_loop().remove_reader(self._socket)


async def tell(explanations: Explanations, control_plane: ControlPlane) -> None:
    """Hand one batch to the control plane; while it is down they wait here."""
    batch = explanations.batch()
    if not batch:
        return
    try:
        await control_plane.tell_explanations(batch)
    except ControlPlaneDown:
        return
    explanations.told(batch)


def _read(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    if not isinstance(line, dict) or not line.get("request_id"):
        return None
    are_right = all(isinstance(line.get(name), str) for name in _TEXTS)
    if not are_right or not all(isinstance(line.get(name), int) for name in _NUMBERS):
        return None
    return line | {name: "" for name in _TEXTS if line[name] == NOTHING}


def _organization(path: str) -> str:
    found = _ORGANIZATION.match(path)
    return found[1] if found else "default"
