"""What a check of `ostiary doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    what: str
    state: State
    says: str
    do: str = ""
    """What to do about it; never empty where something is wrong."""


def ok(what: str, says: str) -> Finding:
    """Nothing to do."""
    return Finding(what, "ok", says)


def warn(what: str, says: str, do: str) -> Finding:
    """It works, and will not for ever."""
    return Finding(what, "warn", says, do)


def fail(what: str, says: str, do: str) -> Finding:
    """It does not work."""
    return Finding(what, "fail", says, do)
