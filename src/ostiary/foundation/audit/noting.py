"""Noting what was done, in the transaction that does it: one INSERT into a table that waits to be chained.

Called by use cases as `events.record` is. A write of a request that noted nothing is noted by
`note_unless_noted`, so that no acknowledged change is missing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, insert

from ostiary.foundation.audit.origin import Origin, current_origin, noted
from ostiary.foundation.audit.pictures import PERSON, VALUE, differences
from ostiary.foundation.audit.tables import audit_staged
from ostiary.foundation.clock import utc_now

_STAGE = insert(audit_staged)


def note(
    connection: Connection,
    organization_id: str,
    kind: str,
    key: str,
    before: object = None,
    after: object = None,
    *,
    verb: str | None = None,
    whose: str | None = None,
) -> None:
    """Note a change of the thing `key` of that kind: dataclasses or mappings as it was and as it is.

    The action is `kind.verb`; unless said the verb is `created`, `changed` or `deleted`, by what is None.
    `whose`: the subject whose request it is, where a client acts for somebody.
    Names of people, and whatever else is theirs, are given as `Personal`; secrets in fields without `repr`.
    """
    old, new = differences(before, after)
    verb = verb or ("created" if old is None else "deleted" if new is None else "changed")
    target = {"kind": kind, "id": key}
    body = {"action": f"{kind}.{verb}", "target": target, "before": old, "after": new}
    _stage(connection, organization_id, body, whose)


def note_unless_noted(connection: Connection, organization_id: str) -> None:
    """Note the operation itself, where nothing was noted of what it did."""
    if not noted.get():
        _stage(connection, organization_id, {"action": "request.answered"})


def _stage(
    connection: Connection, organization_id: str, body: dict[str, Any], whose: str | None = None
) -> None:
    said = {**written_origin(current_origin(), utc_now(), whose), **body, "outcome": "done"}
    connection.execute(_STAGE, staged_row(organization_id, said))
    noted.set(True)


def staged_row(organization_id: str, document: Mapping[str, Any]) -> dict[str, str]:
    """The row of a record that waits; members that are None say nothing."""
    said = {name: value for name, value in document.items() if value is not None}
    return {"organization_id": organization_id, "document": orjson.dumps(said).decode()}


def written_origin(origin: Origin, at: datetime, whose: str | None = None) -> dict[str, Any]:
    """Who, from where and when, as a record says it; a person's own is marked as theirs.

    The address is the acting user's, or else that of `whose` login this is.
    """
    actor = origin.actor
    person = actor.id if actor.name is not None else None
    who = {
        "kind": actor.kind,
        "id": actor.id,
        "client": actor.client,
        "name": _of(person, actor.name),
        "address": _of(person or whose, origin.address),
    }
    return {
        "at": at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": {name: value for name, value in who.items() if value is not None},
        "operation": origin.operation,
        "request_id": origin.request_id,
    }


def _of(person: str | None, value: str | None) -> Any:
    return value if person is None or value is None else {PERSON: person, VALUE: value}
