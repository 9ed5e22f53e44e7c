"""Roles in SQL. A change that takes a role away narrows whom it is taken from."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, insert, or_, select, union_all, update

from ostiary.foundation import audit
from ostiary.foundation.identifiers import new_id
from ostiary.organizations import Organization, narrow
from ostiary.permissions.errors import UnknownPin, UnknownRole
from ostiary.permissions.model import (
    ADMIN_ROLE,
    BUILT_IN_ROLES,
    EVERYONE_ROLE,
    Holdings,
    Member,
    MemberName,
    Pinned,
    Role,
    a_group,
    admin_permissions,
)
from ostiary.permissions.tables import role_members, roles

Pin = Callable[[Connection, str, str | None], bool]


def find_role(connection: Connection, organization_id: str, name: str) -> Role | None:
    """The role of that name; reads no other one, since an organization file asks for each of its roles."""
    row = connection.execute(_NAMED, {"organization_id": organization_id, "name": name}).first()
    if row is None:
        return None
    members = _members(connection, organization_id, row.id)
    return Role(row.id, organization_id, row.name, tuple(row.permissions), frozenset(members))


def list_roles(connection: Connection, organization_id: str) -> list[Role]:
    """Every role of the organization with its members, by name."""
    here = {"organization_id": organization_id}
    found = connection.execute(_ROLES.order_by(roles.c.name), here).all()
    members: dict[str, set[MemberName]] = {}
    for role_id, *name in connection.execute(_MEMBERS, here):
        members.setdefault(role_id, set()).add(MemberName(*name))
    return [
        Role(row.id, organization_id, row.name, tuple(row.permissions), frozenset(members.get(row.id, ())))
        for row in found
    ]


def put_role(connection: Connection, role: Role) -> None:
    """Create the role or make it what is given; members who lose it are narrowed."""
    found = find_role(connection, role.organization_id, role.name)
    here = {"key_organization_id": role.organization_id, "key_id": role.id}
    permissions = {"permissions": list(role.permissions)}
    if connection.execute(_CHANGE, here | permissions).rowcount == 0:
        row = {"id": role.id, "organization_id": role.organization_id, "name": role.name}
        connection.execute(_INSERT, row | permissions)
    present = _members(connection, role.organization_id, role.id)
    _remove(connection, role, present - role.members)
    _add(connection, role, role.members - present)
    if found != role:
        old = None if found is None else _picture(found)
        audit.note(connection, role.organization_id, "role", role.name, old, _picture(role))


def ensure_built_in_roles(connection: Connection, organization: Organization) -> None:
    """The roles every organization begins with, made where they are missing; what is there stays."""
    there = set(connection.execute(_NAMES, {"organization_id": organization.id}).scalars())
    for name, permissions in BUILT_IN_ROLES.items():
        if name not in there:
            given = admin_permissions(organization.name) if name == ADMIN_ROLE else permissions
            put_role(connection, Role(new_id(), organization.id, name, given))


def give_admin_role(connection: Connection, organization: Organization, member: MemberName) -> None:
    """Make somebody an administrator of the organization."""
    ensure_built_in_roles(connection, organization)
    role = find_role(connection, organization.id, ADMIN_ROLE)
    if role is not None and member not in role.members:
        _add(connection, role, {member})
        old, new = _picture(role), _picture(replace(role, members=role.members | {member}))
        audit.note(connection, organization.id, "role", role.name, old, new)


def holdings_of(connection: Connection, organization_id: str, member: Member) -> Holdings:
    """The member's roles and permissions now.

    Pins a user's name to the subject at first match, so it takes a write transaction.
    """
    found = read_holdings(connection, organization_id, member, pin=_pin)
    return replace(found, to_pin=False)


def read_holdings(
    connection: Connection, organization_id: str, member: Member, pin: Pin | None = None
) -> Holdings:
    """The same in a read transaction: what rests on a name to be pinned is left out (`to_pin`)."""
    here = {"organization_id": organization_id}
    if member.client_id is not None:
        return _together(connection.execute(_OF_CLIENT, {**here, "client_id": member.client_id}))
    who = {"subject_id": member.subject_id, "store": member.store, "username": member.username}
    held: list[Any] = []
    to_pin = False
    for row in connection.execute(_OF_USER, {**here, **who}).all():
        if row.subject_id is not None or (pin is not None and pin(connection, row.id, member.subject_id)):
            held.append(row)
        else:
            to_pin = True
    held += connection.execute(_EVERYONE, {**here, "everyone": EVERYONE_ROLE}).all()
    if member.groups:
        groups = [a_group(text) for text in sorted(member.groups)]
        names = {"names": [group.name for group in groups]}
        whole = {"groups": [f"{group.store}/{group.name}" for group in groups]}
        held += connection.execute(_OF_GROUPS, {**here, **names, **whole}).all()
    return replace(_together(held), to_pin=to_pin)


def pins_of(connection: Connection, organization_id: str, role: str) -> list[Pinned]:
    """The users of a role that are pinned to a subject, by store and name.

    Raises:
        UnknownRole: the organization has none of that name.
    """
    found = _known(connection, organization_id, role)
    rows = connection.execute(_PINS, {"organization_id": organization_id, "role_id": found.id})
    return [Pinned(MemberName("user", row.store, row.name), row.subject_id) for row in rows]


def unpin(connection: Connection, organization_id: str, role: str, subject_id: str) -> None:
    """Let the names go that a role has pinned to a subject, and narrow the subject.

    The next login of whoever bears such a name is pinned.

    Raises:
        UnknownRole: the organization has none of that name.
        UnknownPin: the role has pinned nothing to that subject.
    """
    found = _known(connection, organization_id, role)
    here = {
        "key_organization_id": organization_id,
        "key_role_id": found.id,
        "key_subject_id": subject_id,
    }
    if connection.execute(_UNPIN, here).rowcount == 0:
        raise UnknownPin(subject_id)
    narrow(connection, organization_id, "subject", subject_id)


def _known(connection: Connection, organization_id: str, role: str) -> Role:
    found = find_role(connection, organization_id, role)
    if found is None:
        raise UnknownRole(role)
    return found


# Composed once: putting a statement together costs more than running it.
_HERE = role_members.c.organization_id == bindparam("organization_id")
_MEMBERS = select(
    role_members.c.role_id, role_members.c.kind, role_members.c.store, role_members.c.name
).where(_HERE)
_MEMBERS_OF = _MEMBERS.where(role_members.c.role_id == bindparam("role_id"))
_ROLES = select(roles).where(roles.c.organization_id == bindparam("organization_id"))
_NAMED = _ROLES.where(roles.c.name == bindparam("name"))
_CHANGE = update(roles).where(
    roles.c.organization_id == bindparam("key_organization_id"), roles.c.id == bindparam("key_id")
)
_INSERT = insert(roles)
_ADD = insert(role_members)
_SAME = and_(
    _HERE,
    role_members.c.role_id == bindparam("role_id"),
    role_members.c.kind == bindparam("kind"),
    role_members.c.store == bindparam("store"),
    role_members.c.name == bindparam("name"),
)
_PINNED = select(role_members.c.subject_id).where(_SAME)
_REMOVE = delete(role_members).where(_SAME)
_PINS = (
    select(role_members.c.store, role_members.c.name, role_members.c.subject_id)
    .where(_HERE, role_members.c.role_id == bindparam("role_id"), role_members.c.subject_id.is_not(None))
    .order_by(role_members.c.store, role_members.c.name)
)
_UNPIN = (
    update(role_members)
    .where(
        role_members.c.organization_id == bindparam("key_organization_id"),
        role_members.c.role_id == bindparam("key_role_id"),
        role_members.c.subject_id == bindparam("key_subject_id"),
    )
    .values(subject_id=None)
)
_NAMES = select(roles.c.name).where(roles.c.organization_id == bindparam("organization_id"))
_GIVES = (roles.c.name, roles.c.permissions)
_EVERYONE = select(*_GIVES).where(
    roles.c.organization_id == bindparam("organization_id"), roles.c.name == bindparam("everyone")
)
_ROLE = role_members.join(roles, roles.c.id == role_members.c.role_id)
_OF_USER_BY = select(role_members.c.id, role_members.c.subject_id, *_GIVES).select_from(_ROLE).where(_HERE)
_OF_USER = union_all(  # one index each; with OR in their place SQLite reads every member of the organization
    _OF_USER_BY.where(role_members.c.subject_id == bindparam("subject_id")),  # only users are pinned
    _OF_USER_BY.where(
        role_members.c.kind == "user",
        role_members.c.name == bindparam("username"),
        role_members.c.store == bindparam("store"),
        role_members.c.subject_id.is_(None),
    ),
)
_OF_GROUPS = (
    select(*_GIVES)
    .select_from(_ROLE)
    .where(_HERE, role_members.c.kind == "group")
    .where(role_members.c.name.in_(bindparam("names", expanding=True)))  # which has an index
    .where((role_members.c.store + "/" + role_members.c.name).in_(bindparam("groups", expanding=True)))
)
_OF_CLIENT = (
    select(*_GIVES)
    .select_from(_ROLE)
    .where(_HERE, role_members.c.kind == "client", role_members.c.name == bindparam("client_id"))
)


def _picture(role: Role) -> dict[str, object]:
    """A role as the audit log has it."""
    return {"permissions": role.permissions, "members": [_written(one) for one in sorted(role.members)]}


def _written(member: MemberName) -> object:
    """A member as the audit log has it: a user's name is personal."""
    text = f"{member.kind} {member}"
    return text if member.kind != "user" else audit.Personal(audit.named(member.store, member.name), text)


def _together(rows: Iterable[Any]) -> Holdings:
    held = list(rows)
    return Holdings(
        frozenset(row.name for row in held), frozenset(node for row in held for node in row.permissions)
    )


def _pin(connection: Connection, row_id: str, subject_id: str | None) -> bool:
    """Tie a user's name to the subject that bears it; False where another subject was first."""
    free = or_(role_members.c.subject_id.is_(None), role_members.c.subject_id == subject_id)
    pin = update(role_members).where(role_members.c.id == row_id, free).values(subject_id=subject_id)
    return connection.execute(pin).rowcount == 1


def _members(connection: Connection, organization_id: str, role_id: str) -> set[MemberName]:
    rows = connection.execute(_MEMBERS_OF, {"organization_id": organization_id, "role_id": role_id})
    return {MemberName(kind, store, name) for _, kind, store, name in rows}


def _add(connection: Connection, role: Role, added: Iterable[MemberName]) -> None:
    if rows := [{"id": new_id(), **_row(role, member)} for member in sorted(added)]:
        connection.execute(_ADD, rows)


def _remove(connection: Connection, role: Role, removed: Iterable[MemberName]) -> None:
    for member in sorted(removed):
        pinned = connection.execute(_PINNED, _row(role, member)).scalar()
        connection.execute(_REMOVE, _row(role, member))
        _narrow(connection, role.organization_id, member, pinned)


def _row(role: Role, member: MemberName) -> dict[str, str]:
    names = {"kind": member.kind, "store": member.store, "name": member.name}
    return {"organization_id": role.organization_id, "role_id": role.id, **names}


def _narrow(connection: Connection, organization_id: str, member: MemberName, pinned: str | None) -> None:
    """A user never matched has no token that the role widened; who is in a group, only its store knows."""
    if member.kind == "client":
        narrow(connection, organization_id, "client", member.name)
    elif member.kind == "group":
        narrow(connection, organization_id, "organization", organization_id)
    elif pinned is not None:
        narrow(connection, organization_id, "subject", pinned)
