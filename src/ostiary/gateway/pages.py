"""The whole plan in bounded pages: one organization after another, in each one kind after another, by key.

Every page is read in a transaction of its own, so one may be newer than another. Whoever copies the plan
asks afterwards for what changed since the number the copy began at; only then do the pages make a plan
(ADR 0026).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection

from ostiary import apim, oauth
from ostiary.gateway import planner
from ostiary.gateway.current import CurrentPlan
from ostiary.gateway.errors import InvalidPage
from ostiary.gateway.plan import Thing
from ostiary.organizations import Organization, by_id, following, minimums_after

PAGE: Final = 1_000
"""Entries after which a page ends; one of APIs ends sooner, because they are large."""
_APIS: Final = 50
_LONGEST: Final = 1_000
_NONE: Final = ""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a copy has come."""

    number: int
    """Of the plan when the copy began."""
    organization_id: str = _NONE
    section: int = 0
    after: str = _NONE
    """The key of the last row that was read of the section."""

    def to_text(self) -> str:
        """Write the place as nodes give it back."""
        said = json.dumps([self.number, self.organization_id, self.section, self.after])
        return base64.urlsafe_b64encode(said.encode()).decode()

    @classmethod
    def from_text(cls, text: str) -> Place:
        """Read what `to_text` wrote.

        Raises:
            InvalidPage: it did not.
        """
        try:
            number, organization_id, section, after = json.loads(base64.urlsafe_b64decode(text.encode()))
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidPage from error
        keys = (organization_id, after)
        if not all(isinstance(one, str) and len(one) <= _LONGEST for one in keys):
            raise InvalidPage
        if not all(type(one) is int and 0 <= one < 2**63 for one in (number, section)):
            raise InvalidPage
        if section >= len(_SECTIONS) or not all(one == _NONE or one.isprintable() for one in keys):
            raise InvalidPage
        return cls(number, organization_id, section, after)


@dataclass(frozen=True, slots=True)
class _Section:
    """One kind of things: how its next rows are read, how they are drawn, what tells them apart."""

    rows: Callable[[CurrentPlan, str, str, int], Sequence[Any]]
    """Of an organization, after a key, at most so many."""
    draw: Callable[[CurrentPlan, str, Sequence[Any]], Iterable[Thing | None]]
    key: Callable[[Any], str] | None = None
    """None where there are few: they are read all at once."""
    at_most: int = PAGE


def read_page(current: CurrentPlan, place: Place) -> tuple[list[Thing], Place | None]:
    """Read from a place on; returns where the next page begins, `None` after the last."""
    things: list[Thing] = []
    room = PAGE
    at: Place | None = _entered(current.connection, place)
    while at is not None and room > 0:
        section = _SECTIONS[at.section]
        rows = section.rows(current, at.organization_id, at.after, section.at_most)
        things += [one for one in section.draw(current, at.organization_id, rows) if one is not None]
        room -= len(rows) * PAGE // section.at_most
        if section.key is not None and len(rows) == section.at_most:
            at = replace(at, after=section.key(rows[-1]))
        else:
            at = _following(current.connection, at)
    return things, at


def _entered(connection: Connection, place: Place) -> Place:
    begins = place.organization_id == _NONE and place.section < _OF_ORGANIZATION
    return _next_organization(connection, place) if begins else place


def _following(connection: Connection, at: Place) -> Place | None:
    """The place after a section that has been read to its end."""
    section = at.section + 1
    if section == _OF_ORGANIZATION:
        return _next_organization(connection, at)
    return None if section == len(_SECTIONS) else replace(at, section=section, after=_NONE)


def _next_organization(connection: Connection, at: Place) -> Place:
    found = following(connection, at.organization_id)
    if found is None:  # what belongs to none comes last
        return Place(at.number, section=_OF_ORGANIZATION)
    return Place(at.number, found.id)


def _by_id(one: Any) -> str:
    return str(one.id)


def _organization(current: CurrentPlan, id: str) -> list[Organization]:
    found = by_id(current.connection, id)
    return [] if found is None else [found]


def _draw_applications(current: CurrentPlan, id: str, rows: Sequence[Any]) -> Iterable[Thing | None]:
    organization = by_id(current.connection, id)
    return [] if organization is None else [planner.draw_application(one, organization) for one in rows]


def _draw_clients(current: CurrentPlan, id: str, rows: Sequence[Any]) -> Iterable[Thing | None]:
    keys = apim.keys_of_clients(current.connection, id, [one.client_id for one in rows])
    return [planner.draw_client(one, keys.get(one.client_id)) for one in rows]


def _minimums(current: CurrentPlan, id: str, after: str, at_most: int) -> Sequence[Any]:
    kind, _, key = after.partition(":")
    return minimums_after(current.connection, id, (kind, key), at_most)


_OF_EACH: Final = (
    _Section(
        lambda current, id, *_: _organization(current, id),
        lambda current, _, rows: map(current.drawn_organization, rows),
    ),
    _Section(
        lambda current, *where: apim.apis_after(current.connection, *where),
        lambda current, _, rows: map(current.drawn_api, rows),
        _by_id,
        _APIS,
    ),
    _Section(
        lambda current, *where: apim.applications_after(current.connection, *where),
        _draw_applications,
        _by_id,
        apim.APPLICATIONS_AT_ONCE,
    ),
    _Section(
        lambda current, *where: oauth.clients_after(current.connection, *where),
        _draw_clients,
        lambda one: str(one.client_id),
    ),
    _Section(
        lambda current, *where: apim.subscriptions_after(current.connection, *where),
        lambda _, __, rows: map(planner.draw_subscription, rows),
        _by_id,
    ),
    _Section(
        lambda current, id, *_: apim.list_plans(current.connection, id),
        lambda _, __, rows: map(planner.draw_plan, rows),
    ),
    _Section(
        lambda current, *where: apim.api_keys_after(current.connection, *where),
        lambda _, __, rows: map(planner.draw_api_key, rows),
        lambda one: str(one.sha256),
    ),
    _Section(
        lambda current, id, *_: apim.list_deny_policies(current.connection, id),
        lambda _, __, rows: map(planner.draw_denial, rows),
    ),
    _Section(
        _minimums,
        lambda _, id, rows: (planner.draw_epoch(id, *one) for one in rows),
        lambda one: f"{one[0]}:{one[1]}",
    ),
)
_OF_ALL: Final = (
    _Section(
        lambda current, *_: oauth.public_keys(current.connection),
        lambda _, __, rows: map(planner.draw_key, rows),
    ),
    _Section(
        lambda current, _, after, at_most: oauth.revocations_after(
            current.connection, current.now, after, at_most
        ),
        lambda _, __, rows: (planner.draw_revocation(*one) for one in rows),
        lambda one: str(one[0]),
    ),
    _Section(lambda current, *_: current.own_node(), lambda _, __, rows: rows),
)
_SECTIONS: Final = (*_OF_EACH, *_OF_ALL)
_OF_ORGANIZATION: Final = len(_OF_EACH)
