"""A circuit breaker: after several failures in a row a store is left alone for a while.

Then one login, and only one, tries it again. A breaker belongs to one store in one worker.
"""

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

Monotonic = Callable[[], float]


class BreakerState(StrEnum):
    """What a breaker does with the next login."""

    CLOSED = "closed"
    """It goes through."""
    OPEN = "open"
    """It is refused at once."""
    HALF_OPEN = "half-open"
    """It is the probe, or is refused while another one is."""


class CircuitOpen(Exception):
    """The store is being left alone; nothing was sent."""

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__("circuit open")
        self.retry_after = retry_after


class CircuitBreaker:
    """Closed, open for `cool_down` seconds, then half-open for a single probe."""

    def __init__(self, monotonic: Monotonic, failures: int = 5, cool_down: float = 5.0) -> None:
        self._monotonic = monotonic
        self._threshold = failures
        self._cool_down = cool_down
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """What it would do now, for whoever watches; taking a place is `enter`."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._open_until > self._monotonic() else BreakerState.HALF_OPEN

    def check(self) -> None:
        """Refuse where `enter` would, without taking the probe's place.

        Raises:
            CircuitOpen: the store is left alone, or somebody is probing it.
        """
        if self._open_until is None:
            return
        wait = self._open_until - self._monotonic()
        if wait > 0 or self._probing:
            raise CircuitOpen(timedelta(seconds=max(1.0, wait)))

    def enter(self) -> None:
        """Let a call through; after the cool-down the first caller is the probe.

        Each call that entered says `succeeded`, `failed` or `abandoned` once.

        Raises:
            CircuitOpen: as `check`.
        """
        self.check()
        self._probing = self._open_until is not None

    def succeeded(self) -> None:
        """The store answered, whatever it said."""
        self._failures = 0
        self._open_until = None
        self._probing = False

    def failed(self) -> None:
        """The store could not be reached, took too long or had an error of its own."""
        self._failures += 1
        if self._probing or self._failures >= self._threshold:
            self._open_until = self._monotonic() + self._cool_down
        self._probing = False

    def abandoned(self) -> None:
        """The call ended without saying anything about the store."""
        self._probing = False
