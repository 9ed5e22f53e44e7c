"""How long a refusal takes: the same for every reason.

Wrong password in PRIMARY, wrong in an outside store, unknown and locked cost different work. Each
refusal is held back until a moment that every one of them can keep: a high percentile of the recent
durations of the *slowest* way through the organization's stores. Ways are remembered apart, so a
flood of cheap refusals cannot pull the moment below what an honest check takes.
"""

import asyncio
import math
from collections import OrderedDict, deque
from datetime import timedelta
from typing import TypeVar

from ostiary.identity.settings import RefusalSettings

Way = tuple[str, ...]
"""The stores that were asked, in order."""

Key = TypeVar("Key")
Value = TypeVar("Value")
_Durations = deque[float]

_MOST_ORGANIZATIONS = 1000
_MOST_WAYS = 16


class RefusalTime:
    """Remembers durations per organization and holds refusals back."""

    def __init__(self, settings: RefusalSettings) -> None:
        self._settings = settings
        self._organizations: OrderedDict[str, OrderedDict[Way, _Durations]] = OrderedDict()

    def observe(self, organization_id: str, way: Way, took: timedelta) -> None:
        """Note how long a login took that had its answer from `way` and waited for nobody."""
        new: OrderedDict[Way, _Durations] = OrderedDict()
        ways = _recent(self._organizations, organization_id, new, _MOST_ORGANIZATIONS)
        durations = _recent(ways, way, deque(maxlen=self._settings.samples), _MOST_WAYS)
        durations.append(took.total_seconds())

    def target(self, organization_id: str) -> timedelta:
        """How long a refusal takes now."""
        ways = self._organizations.get(organization_id)
        longest = max(map(self._percentile, ways.values())) if ways else 0.0
        return max(self._settings.minimum, timedelta(seconds=longest * self._settings.headroom))

    async def hold(self, organization_id: str, started: float) -> None:
        """Wait until a login begun at loop time `started` has taken the target or a multiple of it."""
        loop, target = asyncio.get_running_loop(), self.target(organization_id).total_seconds()
        steps = max(1, math.ceil((loop.time() - started) / target))
        await asyncio.sleep(max(0.0, started + steps * target - loop.time()))

    def _percentile(self, durations: _Durations) -> float:
        ranked = sorted(durations)
        return ranked[min(len(ranked) - 1, int(len(ranked) * self._settings.percentile))]


def _recent(known: OrderedDict[Key, Value], key: Key, new: Value, most: int) -> Value:
    """The value of `key`, `new` where there is none; the longest unused goes beyond `most`."""
    value = known.setdefault(key, new)
    known.move_to_end(key)
    if len(known) > most:
        known.popitem(last=False)
    return value
