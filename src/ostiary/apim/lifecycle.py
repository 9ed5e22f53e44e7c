"""The life cycle of an API version: a table of states and the steps between them.

What each state means for callers is the gateway's: CREATED is not published, BLOCKED answers
503, DEPRECATED serves those who are subscribed, RETIRED is gone.
"""

from collections import deque
from enum import StrEnum

from ostiary.apim.errors import TransitionRefused


class LifecycleState(StrEnum):
    """Where an API version is in its life."""

    CREATED = "CREATED"
    PROTOTYPED = "PROTOTYPED"
    PUBLISHED = "PUBLISHED"
    BLOCKED = "BLOCKED"
    DEPRECATED = "DEPRECATED"
    RETIRED = "RETIRED"


_S = LifecycleState
TRANSITIONS: dict[LifecycleState, tuple[LifecycleState, ...]] = {
    _S.CREATED: (_S.PROTOTYPED, _S.PUBLISHED),
    _S.PROTOTYPED: (_S.CREATED, _S.PUBLISHED),
    _S.PUBLISHED: (_S.BLOCKED, _S.PROTOTYPED, _S.CREATED, _S.DEPRECATED),
    _S.BLOCKED: (_S.PUBLISHED, _S.DEPRECATED),
    _S.DEPRECATED: (_S.RETIRED,),
    _S.RETIRED: (),
}
CALLABLE = frozenset({_S.PROTOTYPED, _S.PUBLISHED, _S.BLOCKED, _S.DEPRECATED})
"""States in which the gateway knows the API version."""
SUBSCRIBABLE = frozenset({_S.PROTOTYPED, _S.PUBLISHED})
"""States in which new subscriptions are taken."""


def step(current: LifecycleState, wanted: LifecycleState) -> LifecycleState:
    """Return `wanted` if one step leads there; staying is a step.

    Raises:
        TransitionRefused: the table has no such step.
    """
    if wanted is not current and wanted not in TRANSITIONS[current]:
        allowed = ", ".join(TRANSITIONS[current]) or "none, it is final"
        raise TransitionRefused(
            f"an API version that is {current} cannot become {wanted} (possible: {allowed})"
        )
    return wanted


def walk(current: LifecycleState, wanted: LifecycleState) -> tuple[LifecycleState, ...]:
    """Return the fewest steps from `current` to `wanted`, without `current`; empty when already there.

    Raises:
        TransitionRefused: no steps lead there (nothing leaves RETIRED).
    """
    ways: deque[tuple[LifecycleState, tuple[LifecycleState, ...]]] = deque([(current, ())])
    seen = {current}
    while ways:
        at, way = ways.popleft()
        if at is wanted:
            return way
        for following in TRANSITIONS[at]:
            if following not in seen:
                seen.add(following)
                ways.append((following, (*way, following)))
    raise TransitionRefused(f"an API version that is {current} can never become {wanted}")
