"""Testing a user store: whether it can be asked, and whether it refuses somebody made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from ostiary.foundation.secrets import random_token
from ostiary.identity.user_stores.contract import Refused, StoreUnavailable, UserStore
from ostiary.identity.user_stores.steps import Step, note, watched


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of a test. `problem` is None where the store can be asked.

    `accepts_anybody`: it let in somebody who does not exist, so its yes proves nothing.
    """

    problem: str | None
    accepts_anybody: bool
    steps: Sequence[Step]

    @property
    def is_well(self) -> bool:
        """Whether people may be asked about there."""
        return self.problem is None and not self.accepts_anybody


async def test_store(store: UserStore) -> Tested:
    """Reach the store as a login would, then ask about a made-up name with a random password."""
    with watched() as steps:
        try:
            await store.probe()
            accepts_anybody = await _accepts_anybody(store)
        except StoreUnavailable as outage:
            return Tested(outage.reason, accepts_anybody=False, steps=steps.found)
        return Tested(None, accepts_anybody, steps.found)


async def _accepts_anybody(store: UserStore) -> bool:
    try:
        record = await store.authenticate(f"probe-{random_token(9).lower()}", SecretStr(random_token()))
    except Refused:
        return False
    if record is not None:
        note("accepted somebody made up")
    return record is not None
