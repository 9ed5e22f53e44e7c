"""The internal REST API of locks: /api/identity/v1/locks.

Locks end by themselves; this is for whoever does not want to wait. Limits of addresses are HAProxy's and last
ten seconds: they are not here.
"""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import NoContent
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.identity.endpoints.paging import Limit, Offset
from ostiary.identity.endpoints.problems import problems
from ostiary.identity.errors import UnknownUser
from ostiary.identity.locks import Lock, count_locks, lift_locks, list_locks
from ostiary.identity.powers import check_power_to_unlock
from ostiary.identity.user_names import display_name, is_text
from ostiary.permissions import GuardedRouter, needs, organization, principal

_PERMISSION = "/permission/admin/manage/identity/authentication/lock"
_LONGEST = 36


class LockDocument(TypedDict):
    """Somebody who has to wait, at a client or, where it is null, at every one."""

    sub: str
    user: str
    store: str
    client: str | None
    failures: int
    since: str
    until: str


class LocksDocument(TypedDict):
    """People who are locked out; `others` are names that nobody has."""

    locks: list[LockDocument]
    total: int
    others: int


def router(database: Database, clock: Clock) -> GuardedRouter:
    """Show who of the URL's organization is locked out, and let them in again."""
    guarded = GuardedRouter("/api/identity/v1/locks", tags=["Locks"])

    @guarded.get("", access=needs(f"{_PERMISSION}/view", "internal_lock_view"))
    async def list_all(request: Request, limit: Limit = 100, offset: Offset = 0) -> LocksDocument:
        """People who are locked out, those for longest first; `others` are names that nobody has.

        `client` is where the password was wrong too often, for the management API with the address. Where it
        is null, every client has to wait.
        """
        here, now = organization(request), clock()

        def unit(connection: Connection) -> tuple[list[Lock], tuple[int, int]]:
            found = list_locks(connection, here.id, now, offset, limit)
            return found, count_locks(connection, here.id, now)

        found, (total, others) = await database.read(unit)
        return {"locks": [_present(lock, here.name) for lock in found], "total": total, "others": others}

    @guarded.delete("/{sub}", access=needs(f"{_PERMISSION}/delete", "internal_lock_delete"))
    async def lift(request: Request, sub: str) -> NoContent:
        """End every lock of somebody: the next login is tried at once."""
        here, caller = organization(request).id, principal(request)

        def unit(connection: Connection) -> None:
            check_power_to_unlock(connection, caller, here, sub)
            lift_locks(connection, here, sub)

        with problems():
            if not is_text(sub, _LONGEST):
                raise UnknownUser(sub)
            await database.write(unit)
        return NoContent()

    return guarded


def _present(lock: Lock, organization_name: str) -> LockDocument:
    return {
        "sub": lock.subject_id,
        "user": display_name(lock.store, lock.username, organization_name),
        "store": lock.store,
        "client": lock.client_id or None,
        "failures": lock.failures,
        "since": lock.since.isoformat(),
        "until": lock.until.isoformat(),
    }
