"""What time it is for tokens: the control plane's time, also where this machine's clock is wrong.

Every answer about the plan says when it was given. When that is more than `TOLERANCE` from this machine's
clock, tokens are judged by the control plane's time, carried on by the monotonic clock, so that nobody's
setting the clock right meanwhile changes it. HAProxy compares by the machine's clock: what it is given is
converted (`skew`), and forgotten when that changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ostiary.foundation.telemetry import get_logger

_log = get_logger(__name__)
TOLERANCE: Final = 2.0
"""Seconds: a token is accepted that much longer than it says, at most, and refused that much earlier."""


class NodeClock:
    """Two clocks of this machine, and what the control plane said about the first."""

    def __init__(self, local: Callable[[], float], monotonic: Callable[[], float]) -> None:
        """Believe this machine until a control plane has answered."""
        self._local = local
        self._monotonic = monotonic
        self._offset: float | None = None
        self._apart = local() - monotonic()
        self.behind = 0.0
        """Seconds this machine's clock was behind what a control plane told last; tolerated ones too."""

    def now(self) -> float:
        """Return the time by which tokens are judged, in seconds since 1970."""
        return self._local() if self._offset is None else self._monotonic() + self._offset

    @property
    def skew(self) -> float:
        """How many seconds this machine's clock is behind the time tokens are judged by."""
        return 0.0 if self._offset is None else self.now() - self._local()

    def observe(self, told: float) -> bool:
        """Take a control plane's time; says whether decisions made before are to be forgotten."""
        before, behind = self.skew, told - self._local()
        self.behind = behind
        self._offset = None if abs(behind) <= TOLERANCE else told - self._monotonic()
        changed = abs(self.skew - before) > TOLERANCE
        if changed and self._offset is not None:
            advice = "tokens are judged by the control plane's time; set this machine's clock right"
            _log.error("clock_is_wrong", seconds_behind=round(behind, 1), advice=advice)
        elif changed:
            _log.info("clock_is_right_again")
        return changed

    def was_set(self) -> bool:
        """Whether somebody set this machine's clock since this was asked last."""
        apart = self._local() - self._monotonic()
        moved, self._apart = abs(apart - self._apart) > TOLERANCE, apart
        return moved
