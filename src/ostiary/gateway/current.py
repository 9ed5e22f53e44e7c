"""Reads the present value of whatever the plan is about, as its entries.

An event says what changed, never how. So a thing is read when a node asks: deleted things render as
`None`, and reading twice does no harm. One read transaction gives one consistent picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from ostiary import apim, oauth
from ostiary.foundation.events import Event
from ostiary.foundation.secrets import SecretBox
from ostiary.gateway import planner, repository
from ostiary.gateway.plan import Entry, Kind, Node, Thing, to_wire
from ostiary.organizations import Organization, by_id, latest_minimum


class CurrentPlan:
    """The plan as the database says now, in one read transaction."""

    def __init__(
        self, connection: Connection, box: SecretBox, public_url: str, node_id: str, now: datetime
    ) -> None:
        """Read for the node `node_id`, which is told of no other node."""
        self.connection = connection
        self._box = box
        self._public_url = public_url
        self._node_id = node_id
        self.now = now

    def changed(self, events: Iterable[Event]) -> list[Entry]:
        """Return the entries the events are about, each once, as they are now."""
        known = (event for event in events if event.topic in _READ)
        wanted = dict.fromkeys((one.topic, one.organization_id, one.key) for one in known)
        mine = (one for one in wanted if one[0] != Kind.NODE or one[2] == self._node_id)
        return [entry for one in mine for entry in self._entries(*one)]

    def _entries(self, topic: str, organization_id: str, key: str) -> Iterator[Entry]:
        thing = _READ[topic](self, organization_id, key)
        id = f"{organization_id}:{key}" if topic == Kind.EPOCH else key
        yield Entry(topic, id, None) if thing is None else to_wire(thing)
        if topic == Kind.ORGANIZATION and thing is None:  # these have no rows whose end would be told
            yield from (Entry(Kind.PLAN, one.id, None) for one in apim.built_in_plans(key))

    def drawn_organization(self, organization: Organization) -> Thing:
        """Draw an organization."""
        return planner.draw_organization(organization, self._public_url)

    def drawn_api(self, api: apim.API) -> Thing:
        """Draw an API version, with the key of its client certificate."""
        return planner.draw_api(api, apim.open_client_key(api.backend, self._box, api.id))

    def own_node(self) -> list[Thing]:
        """Return the node that asks, unless it is gone."""
        node = self._node(self._node_id)
        return [] if node is None else [node]

    def _organization(self, _: str, id: str) -> Thing | None:
        found = by_id(self.connection, id)
        return None if found is None else self.drawn_organization(found)

    def _api(self, organization_id: str, id: str) -> Thing | None:
        found = apim.find_api(self.connection, organization_id, id)
        return None if found is None else self.drawn_api(found)

    def _application(self, organization_id: str, id: str) -> Thing | None:
        found = apim.find_application(self.connection, organization_id, id)
        organization = by_id(self.connection, organization_id)
        if found is None or organization is None:
            return None
        return planner.draw_application(found, organization)

    def _client(self, organization_id: str, id: str) -> Thing | None:
        found = oauth.find_client(self.connection, organization_id, id)
        if found is None:
            return None
        return planner.draw_client(found, apim.find_keys(self.connection, organization_id, id))

    def _subscription(self, organization_id: str, id: str) -> Thing | None:
        found = apim.find_subscription(self.connection, organization_id, id)
        return None if found is None else planner.draw_subscription(found)

    def _plan(self, organization_id: str, id: str) -> Thing | None:
        found = apim.find_plan(self.connection, organization_id, id)
        if found is None or by_id(self.connection, organization_id) is None:
            return None
        return planner.draw_plan(found)

    def _api_key(self, organization_id: str, sha256: str) -> Thing | None:
        found = apim.find_api_key(self.connection, organization_id, sha256)
        return None if found is None else planner.draw_api_key(found)

    def _denial(self, organization_id: str, id: str) -> Thing | None:
        found = apim.find_deny_policy(self.connection, organization_id, id)
        return None if found is None else planner.draw_denial(found)

    def _key(self, _: str, kid: str) -> Thing | None:
        found = oauth.find_public_key(self.connection, kid)
        return None if found is None else planner.draw_key(found)

    def _epoch(self, organization_id: str, id: str) -> Thing | None:
        kind, _, key = id.partition(":")
        found = minimum_of(self.connection, organization_id, kind, key)
        return planner.draw_epoch(organization_id, kind, key, found) if found else None

    def _revocation(self, _: str, id: str) -> Thing | None:
        expires_at = oauth.find_revocation(self.connection, id)
        return None if expires_at is None else planner.draw_revocation(id, expires_at)

    def _node_entry(self, _: str, id: str) -> Thing | None:
        return self._node(id)

    def _node(self, id: str) -> Node | None:
        found = repository.find_node(self.connection, id)
        return None if found is None else Node(found.id, found.rotation)


def minimum_of(connection: Connection, organization_id: str, kind: str, key: str) -> int:
    """Return the minimum epoch of one narrowed thing; 0 when it never was."""
    return latest_minimum(connection, organization_id, [(kind, key)])  # type: ignore[list-item]


_READ: Final[dict[str, Callable[[CurrentPlan, str, str], Thing | None]]] = {
    Kind.ORGANIZATION: CurrentPlan._organization,
    Kind.API: CurrentPlan._api,
    Kind.APPLICATION: CurrentPlan._application,
    Kind.CLIENT: CurrentPlan._client,
    Kind.SUBSCRIPTION: CurrentPlan._subscription,
    Kind.PLAN: CurrentPlan._plan,
    Kind.KEY: CurrentPlan._key,
    Kind.EPOCH: CurrentPlan._epoch,
    Kind.REVOCATION: CurrentPlan._revocation,
    Kind.NODE: CurrentPlan._node_entry,
    Kind.API_KEY: CurrentPlan._api_key,
    Kind.DENIAL: CurrentPlan._denial,
    Kind.CLAIMS: lambda *_: None,  # that they changed is all that is said
}
