"""What HAProxy's master tells of its processes (`show proc`)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_RELOADS: Final = re.compile(r"^\d+ +master +(\d+)(?: \[failed: (\d+)\])?")
_AGE: Final = re.compile(r"^\d+ +worker +\S+ +(\d+)d(\d+)h(\d+)m(\d+)s")


@dataclass(frozen=True, slots=True)
class Worker:
    """One live worker process; `old` ones finish their streams after a reload."""

    pid: int
    old: bool


def is_alive(pid: int) -> bool:
    """Whether there is such a process; one that has ended and was not waited for is one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def read_workers(lines: Iterable[str]) -> Iterator[Worker]:
    """Read the answer to `show proc`."""
    old = False
    for line in lines:
        if line.startswith("#"):
            old = line.startswith("# old")
            continue
        words = line.split()
        if len(words) > 1 and words[1] == "worker" and words[0].isdigit():
            yield Worker(int(words[0]), old)


def read_reloads(lines: Iterable[str]) -> dict[str, float]:
    """Read the reloads from the answer to `show proc`; of a worker that is current, its age."""
    found: dict[str, float] = {}
    for line in lines:
        if line.startswith("# old"):
            break
        if master := _RELOADS.match(line):
            found |= {"haproxy_reloads": float(master[1]), "haproxy_reloads_failed": float(master[2] or 0)}
        elif worker := _AGE.match(line):
            days, hours, minutes, seconds = map(int, worker.groups())
            found["haproxy_worker_seconds"] = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    return found
