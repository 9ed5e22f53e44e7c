"""What publishing a version does to older ones: they may be deprecated, and their subscribers carried over.

Versions of one API have one name. Which of two is older is read from their numbers, as people read them.
Both are off unless asked for: nobody gets access to a version that nobody has said they get.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from ostiary.apim import repository
from ostiary.apim.errors import Conflict, Invalid
from ostiary.apim.lifecycle import LifecycleState
from ostiary.apim.model import API, Subscription
from ostiary.apim.publishing import change_state
from ostiary.foundation import audit
from ostiary.foundation.events import Event, record
from ostiary.foundation.identifiers import new_id

MOST_CARRIED_OVER = 10_000
"""Subscriptions of one publication: it is one transaction, and others wait for it."""
_SERVED = (LifecycleState.PUBLISHED, LifecycleState.BLOCKED, LifecycleState.DEPRECATED)
_RUN = re.compile(r"\d+|[A-Za-z]+")
Precedence = tuple[tuple[tuple[bool, int, str], ...], bool, tuple[tuple[bool, int, str], ...]]


@dataclass(frozen=True, slots=True)
class Superseding:
    """What a publisher wants of the versions before."""

    deprecate_older: bool = False
    require_resubscription: bool = True
    """Otherwise those who are subscribed to an older version are subscribed to this one."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """What became of the versions before."""

    deprecated: tuple[str, ...] = ()
    """Versions."""
    carried_over: int = 0
    """Subscriptions."""
    not_offered: int = 0
    """Subscriptions left where they are: this version is not offered with their plan."""


def publish(
    connection: Connection, organization_id: str, api_id: str, how: Superseding
) -> tuple[API, Superseded]:
    """Publish an API version and supersede the older ones of its name; safe to repeat.

    Raises:
        NotFound: the organization has no such API version.
        TransitionRefused: it cannot be published from where it is.
        Invalid: the API lacks what a published one needs.
        Conflict: more subscriptions than can be carried over at once.
    """
    api = change_state(connection, organization_id, api_id, LifecycleState.PUBLISHED)
    older = _older(connection, api)
    deprecated = _deprecate(connection, older) if how.deprecate_older else ()
    carried, left = (0, 0) if how.require_resubscription else _carry_over(connection, api, older)
    return api, Superseded(deprecated, carried, left)


def check_superseding(how: Superseding, wanted: LifecycleState) -> None:
    """Refuse what only publishing can do.

    Raises:
        Invalid: the state asked for is another one.
    """
    if how != Superseding() and wanted is not LifecycleState.PUBLISHED:
        raise Invalid("state", wanted, "PUBLISHED, where older versions are to be superseded")


def precedence(version: str) -> Precedence:
    """Order versions: numbers as numbers, and 2.0.0-beta before 2.0.0."""
    main, _, early = version.partition("-")
    return _runs(main), not early, _runs(early)


def _runs(text: str) -> tuple[tuple[bool, int, str], ...]:
    return tuple(
        (not one.isdigit(), int(one) if one.isdigit() else 0, "" if one.isdigit() else one)
        for one in _RUN.findall(text)
    )


def _older(connection: Connection, api: API) -> list[API]:
    """The older versions, the newest of them first."""
    named = repository.apis_named(connection, api.organization_id, api.name)
    here = precedence(api.version)
    older = [one for one in named if precedence(one.version) < here]
    return sorted(older, key=lambda one: precedence(one.version), reverse=True)


def _deprecate(connection: Connection, older: Iterable[API]) -> tuple[str, ...]:
    """Deprecate those that are published. A blocked one stays blocked: deprecated, it would serve again."""
    published = [one for one in older if one.state is LifecycleState.PUBLISHED]
    for one in published:
        change_state(connection, one.organization_id, one.id, LifecycleState.DEPRECATED)
    return tuple(one.version for one in published)


def _carry_over(connection: Connection, api: API, older: Iterable[API]) -> tuple[int, int]:
    """Subscribe each application as it is to the newest older version it has; what is there already stays."""
    here = api.organization_id
    settled = {one.application_id for one in repository.subscriptions_to_api(connection, here, api.id)}
    carried: list[Subscription] = []
    left = 0
    for version in (one for one in older if one.state in _SERVED):
        for one in repository.subscriptions_to_api(connection, here, version.id):
            if one.application_id in settled:
                continue
            settled.add(one.application_id)
            if one.plan in api.plans:
                carried.append(replace(one, id=new_id(), api_id=api.id))
            else:
                left += 1
    if len(carried) > MOST_CARRIED_OVER:
        raise Conflict(f"{len(carried)} subscriptions to carry over; at most {MOST_CARRIED_OVER} at once")
    repository.insert_subscriptions(connection, carried)
    record(connection, *(Event("subscription", here, one.id) for one in carried))
    for one in carried:
        audit.note(connection, here, "subscription", one.id, None, one)
    return len(carried), left
