"""The internal REST API of pinned names: /api/identity/v1/roles/{role}/pins.

A role lists people by name; at the first match a name is pinned to the subject who bears it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import NoContent
from ostiary.foundation.database import Database
from ostiary.identity.endpoints.problems import problems
from ostiary.identity.repository import subjects
from ostiary.identity.user_names import is_text
from ostiary.permissions import (
    GuardedRouter,
    UnknownRole,
    check_role,
    find_role,
    needs,
    organization,
    pins_of,
    principal,
    unpin,
)

_PERMISSION = "/permission/admin/manage/identity/rolemgt"
_SCOPE = "internal_role_mgt"
_LONGEST: Final = 100


class PinDocument(TypedDict):
    """A name in a role, and the subject it is pinned to."""

    user: str
    sub: str
    id_in_store: str | None
    first_seen_at: str | None
    last_login_at: str | None


class PinsDocument(TypedDict):
    """The people that a role lists and that have been seen."""

    pins: list[PinDocument]


def router(database: Database) -> GuardedRouter:
    """Show whom the names in roles of the URL's organization are pinned to, and let names go."""
    guarded = GuardedRouter("/api/identity/v1/roles", tags=["Roles"])

    @guarded.get("/{role}/pins", access=needs(f"{_PERMISSION}/view", f"{_SCOPE}_view"))
    async def list_pins(request: Request, role: str) -> PinsDocument:
        """The people that a role lists and that have been seen: name, `sub`, when they were here."""
        here = organization(request).id
        with problems():
            return {"pins": await database.read(lambda connection: _present(connection, here, _text(role)))}

    @guarded.delete("/{role}/pins/{sub}", access=needs(f"{_PERMISSION}/update", f"{_SCOPE}_update"))
    async def release(request: Request, role: str, sub: str) -> NoContent:
        """Let the names go that are pinned to a subject; it loses the role within a second.

        The next login of whoever bears such a name is pinned.
        """
        here, caller = organization(request).id, principal(request)

        def unit(connection: Connection) -> None:
            check_role(caller, find_role(connection, here, _text(role)), None)
            unpin(connection, here, role, _text(sub))

        with problems():
            await database.write(unit)
        return NoContent()

    return guarded


def _present(connection: Connection, organization_id: str, role: str) -> list[PinDocument]:
    pins = pins_of(connection, organization_id, role)
    seen = subjects.seen(connection, organization_id, [pin.subject_id for pin in pins])
    return [_pin(str(pin.member), pin.subject_id, seen.get(pin.subject_id)) for pin in pins]


def _pin(user: str, sub: str, seen: subjects.Seen | None) -> PinDocument:
    last = None if seen is None else seen.password_checked_at
    return {
        "user": user,
        "sub": sub,
        "id_in_store": None if seen is None else seen.immutable_id,
        "first_seen_at": None if seen is None else seen.first_seen_at.isoformat(),
        "last_login_at": None if last is None else last.isoformat(),
    }


def _text(part: str) -> str:
    """A part of the URL; what no database can carry is no role's name and nobody's `sub`."""
    if not is_text(part, _LONGEST):
        raise UnknownRole(part)
    return part
