"""Settings of the identity slice."""

import os
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from ostiary.foundation.settings import Section

Count = Annotated[int, Field(ge=1)]


class LockoutSettings(Section):
    """How many wrong passwords are taken before an identity has to wait. Always temporary."""

    client_failures: Count = 5
    """Failures of one user through one client, remembered for `client_lock` after the last."""
    client_lock: timedelta = timedelta(minutes=5)
    """How long that client then has to wait for this user."""
    user_failures: Count = 20
    """Failures of one user through all clients together, remembered for `user_lock`."""
    user_lock: timedelta = timedelta(minutes=15)
    """How long every client then has to wait for this user."""
    patience: timedelta = timedelta(seconds=5)
    """How long a login waits for other logins of the same identity to end."""
    longest_login: timedelta = timedelta(seconds=60)
    """A place taken longer ago belongs to a worker that died."""
    rows: Annotated[int, Field(ge=1000)] = 100_000
    """Counters kept; beyond it those that expire first go."""


class HashingSettings(Section):
    """The pool that checks PRIMARY passwords: one thread a core, and a bounded queue before it."""

    threads: Count = Field(default_factory=lambda: os.cpu_count() or 1)
    """Passwords checked at once; one a core unless set."""
    queue: Count = 100
    """Passwords that may wait; beyond it a login is answered 503."""


class RefusalSettings(Section):
    """How long a refusal takes at least, whatever its reason."""

    minimum: timedelta = timedelta(milliseconds=100)
    """No refusal is quicker."""
    percentile: Annotated[float, Field(gt=0.5, le=1)] = 0.95
    """Which of the remembered durations counts."""
    headroom: Annotated[float, Field(ge=1)] = 1.5
    """That duration is multiplied by this."""
    samples: Annotated[int, Field(ge=10)] = 100
    """Durations remembered of each way through the chain."""


class IdentitySettings(Section):
    """Everything an installation can set about logins."""

    lockout: LockoutSettings = LockoutSettings()
    hashing: HashingSettings = HashingSettings()
    refusals: RefusalSettings = RefusalSettings()
