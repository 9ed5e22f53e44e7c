"""What a worker counts of user stores: what they answered, how long it took, why they could not be asked.

Labels are an organization, a store and words of ours. Nobody's name is among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ostiary.foundation import metrics
from ostiary.identity import BreakerState, StoreAnswer, StoreHealth

if TYPE_CHECKING:
    from prometheus_client import Metric

BREAKER_METRIC: Final = "ostiary_user_store_breaker"
_STORE: Final = ("organization", "store")
_MOST_TIMED: Final = 500
_WHY: Final = MappingProxyType(
    {
        "circuit_open": "breaker",
        "too_many_logins": "places",
        "timeout": "deadline",
        "hashing_busy": "hashing",
    }
)
"""What kept a login from a store; everything else is the store's own doing."""


class StoreMeasures:
    """The counters of one worker, and how its stores are when somebody asks."""

    def __init__(self) -> None:
        self._logins = metrics.Counter(
            "ostiary_logins",
            "What user stores answered to logins: accepted, refused, unknown, unavailable; or locked",
            (*_STORE, "result"),
        )
        self._seconds = metrics.Timer(
            "ostiary_user_store_seconds", "How long logins waited for a user store", _STORE, _MOST_TIMED
        )
        self._outages = metrics.Counter(
            "ostiary_user_store_outages",
            "Logins that a store did not answer, by why: breaker, places, deadline, hashing, store",
            (*_STORE, "why"),
        )

    def note(self, organization: str, answer: StoreAnswer) -> None:
        """Count what came of a store in a login."""
        self._logins.add(organization, answer.store, answer.answer)
        if answer.seconds is not None:
            self._seconds.observe(answer.seconds, organization, answer.store)
        if answer.outage:
            self._outages.add(organization, answer.store, _WHY.get(answer.outage, "store"))

    def families(self, health: Iterable[tuple[str, str, StoreHealth]]) -> Iterator[Metric]:
        """Return them with the stores' present state."""
        for one in (self._logins, self._seconds, self._outages):
            yield from one.families()
        yield from _present({(organization, store): now for organization, store, now in health})


def _present(health: dict[tuple[str, str], StoreHealth]) -> Iterator[Metric]:
    breakers: dict[metrics.Labels, float] = {
        (*store, state): float(now.breaker is state)
        for store, now in health.items()
        for state in BreakerState
    }
    places: dict[metrics.Labels, float] = {store: now.places for store, now in health.items()}
    in_use: dict[metrics.Labels, float] = {store: now.places_in_use for store, now in health.items()}
    text = "1 at the state of the store's circuit breaker"
    yield metrics.gauge(BREAKER_METRIC, text, breakers, (*_STORE, "state"))
    yield metrics.gauge("ostiary_user_store_places", "Logins that may be there at once", places, _STORE)
    yield metrics.gauge("ostiary_user_store_places_in_use", "Logins that are there", in_use, _STORE)
