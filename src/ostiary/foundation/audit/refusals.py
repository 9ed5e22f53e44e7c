"""Refusals, gathered before they are written, so that whoever is refused cannot fill the disk.

The same refusal of the same caller from the same address is one record with a count, once in `EVERY`; of an
organization a worker writes at most `AT_ONCE` of them, and one more that counts the rest. Gathered refusals
are lost when a worker is killed; what changed something never goes this way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, insert

from ostiary.foundation.audit.noting import staged_row, written_origin
from ostiary.foundation.audit.origin import Actor, Origin
from ostiary.foundation.audit.sealing import hashed_name
from ostiary.foundation.audit.tables import audit_staged
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.secrets import SecretBox

EVERY: Final = timedelta(seconds=10)
AT_ONCE: Final = 20
_LONGEST = 200


class Refusal(NamedTuple):
    """What makes two refusals the same; the request's identifier does not."""

    action: str
    reason: str
    actor: Actor
    address: str | None = None
    operation: str | None = None
    name: str | None = None
    """The user name that was typed: people type passwords there, so it is written only as a keyed hash."""


BEYOND: Final = Refusal("request.refused", "more refusals than are kept one by one", Actor("several"))


@dataclass(slots=True)
class _Seen:
    """When a refusal was first seen, in which request, and how often since."""

    at: datetime
    request_id: str | None
    times: int = 0


WhoIs = Callable[[Connection, str, str], str | None]
"""The subject of an organization that bears a name; None where nobody does."""


class Refusals:
    """What one worker has refused and not written yet."""

    def __init__(self, database: Database, box: SecretBox, who_is: WhoIs, clock: Clock) -> None:
        self._database = database
        self._box = box
        self._who_is = who_is
        self._clock = clock
        self._gathered: dict[str, dict[Refusal, _Seen]] = {}

    def add(self, organization_id: str, refusal: Refusal, request_id: str | None) -> None:
        """Count one."""
        known = self._gathered.setdefault(organization_id, {})
        refusal = refusal._replace(reason=refusal.reason[:_LONGEST])
        if refusal not in known and len(known) >= AT_ONCE:
            refusal, request_id = BEYOND, None
        known.setdefault(refusal, _Seen(self._clock(), request_id)).times += 1

    async def write(self) -> None:
        """Write what was gathered, in one transaction."""
        gathered, self._gathered = self._gathered, {}
        if gathered:
            await self._database.write(lambda connection: self._stage(connection, gathered))

    def _stage(self, connection: Connection, gathered: dict[str, dict[Refusal, _Seen]]) -> None:
        rows = [
            staged_row(organization_id, self._document(connection, organization_id, refusal, seen))
            for organization_id, refusals in gathered.items()
            for refusal, seen in refusals.items()
        ]
        connection.execute(insert(audit_staged), rows)

    def _document(
        self, connection: Connection, organization_id: str, refusal: Refusal, seen: _Seen
    ) -> dict[str, Any]:
        target = self._target(connection, organization_id, refusal.name)
        origin = Origin(refusal.actor, seen.request_id, refusal.address, refusal.operation)
        return {
            **written_origin(origin, seen.at, None if target is None else target.get("id")),
            "action": refusal.action,
            "outcome": "refused",
            "reason": refusal.reason,
            "target": target,
            "times": seen.times,
        }

    def _target(
        self, connection: Connection, organization_id: str, name: str | None
    ) -> dict[str, str] | None:
        if name is None:
            return None
        if subject := self._who_is(connection, organization_id, name):
            return {"kind": "user", "id": subject}
        return {"kind": "user", "name_hash": hashed_name(self._box, organization_id, name)}
