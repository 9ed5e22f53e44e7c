"""What an adapter is given besides its own settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ostiary.foundation.clock import Clock, utc_now
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity.model import USUAL_OPTIONS, StoreOptions
from ostiary.identity.passwords import PasswordHasher


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where an adapter may connect to, what every store has, and the pool on which hashes are computed."""

    policy: OutboundPolicy
    hasher: PasswordHasher
    options: StoreOptions = USUAL_OPTIONS
    clock: Clock = utc_now
    monotonic: Callable[[], float] = time.monotonic
    """Seconds, for what an adapter remembers."""

    @property
    def deadline(self) -> float:
        """Seconds that a login there may take."""
        return self.options.timeout_ms / 1000
