"""What happens inside a login, step by step, for whoever asked to see it: `trace login`, test-connection.

An adapter notes what it did and was told: DN or query, TLS peer, which code a directory gave. Never the
password, nor anything computed from it. Where nobody watches, noting costs one look-up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done. `facts` are texts and numbers for an administrator to read."""

    what: str
    at: float
    """Milliseconds since the beginning."""
    facts: dict[str, object] = field(default_factory=dict)


class Steps:
    """The steps of one login, in order."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.found: list[Step] = []

    def add(self, what: str, facts: dict[str, object]) -> None:
        """Note a step that has just ended."""
        self.found.append(Step(what, round((time.perf_counter() - self._began) * 1000, 3), facts))


_WATCHED: ContextVar[Steps | None] = ContextVar("watched_steps", default=None)


@contextmanager
def watched() -> Iterator[Steps]:
    """Watch everything that this task, and the tasks it starts, notes meanwhile."""
    steps = Steps()
    token = _WATCHED.set(steps)
    try:
        yield steps
    finally:
        _WATCHED.reset(token)


def is_watched() -> bool:
    """Whether anybody watches: whether facts that cost something are worth computing."""
    return _WATCHED.get() is not None


def note(what: str, **facts: object) -> None:
    """Say what was just done, if somebody watches. Facts are computed by the caller: keep them cheap."""
    steps = _WATCHED.get()
    if steps is not None:
        steps.add(what, facts)
