"""No escalation: who gives, or gets hold of, what it does not hold itself is refused.

Every operation that gives permissions, or that gives power over somebody who has them (a password, a client's
secret, the store that says who somebody is), asks here with the permissions that come into reach.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, select

from ostiary.permissions.guard import Principal
from ostiary.permissions.model import EVERYONE_ROLE, MemberName, Role
from ostiary.permissions.tables import role_members, roles
from ostiary.permissions.tree import Permissions, not_held


class Escalation(Exception):
    """The caller would give, or reach, permissions that it does not hold."""

    def __init__(self, lacking: Iterable[str]) -> None:
        self.lacking = tuple(lacking)
        super().__init__(
            f"this needs {' and '.join(self.lacking)}, which it would give or give power over: "
            "somebody who holds that must do it"
        )


def check_holds(caller: Principal, permissions: Iterable[str]) -> None:
    """Refuse a caller that lacks any of the permissions that come into reach.

    Raises:
        Escalation: names what is lacking.
    """
    if lacking := not_held(caller.permissions, permissions):
        raise Escalation(lacking)


def check_role(caller: Principal, before: Role | None, after: Role | None) -> None:
    """Refuse changing a role whose permissions, before or after, the caller does not all hold.

    Raises:
        Escalation: names what is lacking.
    """
    check_holds(caller, {node for role in (before, after) if role is not None for node in role.permissions})


def permissions_of_name(connection: Connection, organization_id: str, member: MemberName) -> Permissions:
    """What roles give to this name, whoever bears it or will."""
    names = {"kind": member.kind, "store": member.store, "name": member.name}
    return _together(connection.execute(_BY_NAME, {"organization_id": organization_id, **names}).scalars())


def permissions_through_store(connection: Connection, organization_id: str, store: str) -> Permissions:
    """What whoever answers for a user store can reach: the permissions of its users and groups."""
    here = {"organization_id": organization_id, "store": store.upper(), "everyone": EVERYONE_ROLE}
    return _together(
        [*connection.execute(_BY_STORE, here).scalars(), *connection.execute(_ALL, here).scalars()]
    )


_HERE = roles.c.organization_id == bindparam("organization_id")
_OF_MEMBERS = select(role_members.c.role_id).where(
    role_members.c.organization_id == bindparam("organization_id"),
    role_members.c.store == bindparam("store"),
)
_BY_STORE = select(roles.c.permissions).where(_HERE, roles.c.id.in_(_OF_MEMBERS))
_BY_NAME = select(roles.c.permissions).where(
    _HERE,
    roles.c.id.in_(
        _OF_MEMBERS.where(role_members.c.kind == bindparam("kind"), role_members.c.name == bindparam("name"))
    ),
)
_ALL = select(roles.c.permissions).where(_HERE, roles.c.name == bindparam("everyone"))


def _together(found: Iterable[list[str]]) -> Permissions:
    return frozenset(node for permissions in found for node in permissions)
