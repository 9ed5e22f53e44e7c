"""Roles by page and by identifier, and which people are their members, in SQL.

A role lists names. A name that has matched somebody is tied to that subject; whoever puts a subject
into a role, and not a name, ties it at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    func,
    or_,
    select,
    union_all,
    update,
)

from ostiary.foundation import audit
from ostiary.permissions.model import Member, MemberName, Role
from ostiary.permissions.repository import put_role
from ostiary.permissions.tables import role_members, roles


class TooManyMembers(Exception):
    """The roles have more members together than are read at once."""


@dataclass(frozen=True, slots=True)
class ListedRole:
    """A role without its members. `external_id` is the name a provisioning client has for it."""

    id: str
    organization_id: str
    name: str
    permissions: tuple[str, ...]
    external_id: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A user as a role lists it; `subject_id` is None until the name has matched somebody."""

    role_id: str
    store: str
    name: str
    subject_id: str | None


ROLE_TERMS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "id": lambda value: roles.c.id == value,
        "name": lambda value: roles.c.name == value,
        "name_prefix": lambda value: roles.c.name.startswith(value, autoescape=True),
        "external_id": lambda value: roles.c.external_id == value,
    }
)
"""What roles can be found by."""

_USERS_LISTED = select(
    role_members.c.role_id, role_members.c.store, role_members.c.name, role_members.c.subject_id
).where(role_members.c.kind == "user")


def role_page(
    connection: Connection,
    organization_id: str,
    terms: Mapping[str, str],
    member: Member | None,
    *,
    descending: bool,
    offset: int,
    limit: int,
) -> tuple[int, Sequence[ListedRole]]:
    """How many roles fit and have this member, and some of them in the order of their names."""
    conditions = [ROLE_TERMS[term](value) for term, value in terms.items()]
    if member is not None:
        conditions.append(_lists(organization_id, member))
    query = select(roles).where(roles.c.organization_id == organization_id, *conditions)
    total = connection.execute(query.with_only_columns(func.count())).scalar_one()
    order = roles.c.name.desc() if descending else roles.c.name
    return total, _listed(connection, query.order_by(order).offset(offset).limit(limit)) if limit else []


def role_by_id(connection: Connection, organization_id: str, role_id: str) -> ListedRole | None:
    """The role of that identifier."""
    here = and_(roles.c.organization_id == organization_id, roles.c.id == role_id)
    return next(iter(_listed(connection, select(roles).where(here))), None)


def users_listed(
    connection: Connection, organization_id: str, role_ids: Sequence[str], at_most: int
) -> Sequence[Listing]:
    """The users these roles list.

    Raises:
        TooManyMembers: they are more than `at_most`.
    """
    here = and_(role_members.c.organization_id == organization_id, role_members.c.role_id.in_(role_ids))
    found = [Listing(*row) for row in connection.execute(_USERS_LISTED.where(here).limit(at_most + 1))]
    if len(found) > at_most:
        raise TooManyMembers(f"more than {at_most}")
    return found


def roles_listing(
    connection: Connection, organization_id: str, members: Sequence[Member]
) -> Mapping[str, Sequence[ListedRole]]:
    """The roles that list each of these users of one store themselves, by subject."""
    if not members:
        return {}
    subjects = {member.subject_id for member in members}
    names = {member.username: member.subject_id for member in members}
    by_name = and_(
        role_members.c.kind == "user",
        role_members.c.subject_id.is_(None),
        role_members.c.store == members[0].store,
        role_members.c.name.in_(names),
    )
    here = (
        select(roles, role_members.c.subject_id, role_members.c.name.label("username"))
        .join_from(role_members, roles, roles.c.id == role_members.c.role_id)
        .where(role_members.c.organization_id == organization_id)
    )
    query = union_all(here.where(role_members.c.subject_id.in_(subjects)), here.where(by_name))
    found: dict[str, list[ListedRole]] = {}
    for row in sorted(connection.execute(query), key=lambda row: str(row.name)):
        subject = row.subject_id or names[row.username]
        found.setdefault(str(subject), []).append(_model(row))
    return found


def put_subjects(connection: Connection, role: Role, subjects: Mapping[MemberName, str]) -> None:
    """Make the role what is given, with these subjects among its members, whoever had their names before."""
    listed = {
        MemberName("user", row.store, row.name): row.subject_id
        for row in connection.execute(_USERS_LISTED.where(_of(role)))
    }
    others = {member for member, subject in subjects.items() if listed.get(member) not in (None, subject)}
    if others:
        put_role(connection, replace(role, members=role.members - others))
    put_role(connection, replace(role, members=role.members | subjects.keys()))
    for member, subject in subjects.items():
        if listed.get(member) != subject:
            named = and_(role_members.c.store == member.store, role_members.c.name == member.name)
            tie = update(role_members).where(_of(role), role_members.c.kind == "user", named)
            connection.execute(tie.values(subject_id=subject))


def name_role(connection: Connection, role: ListedRole, external_id: str | None) -> None:
    """Keep the name a provisioning client has for the role."""
    here = and_(roles.c.organization_id == role.organization_id, roles.c.id == role.id)
    connection.execute(update(roles).where(here).values(external_id=external_id))


def delete_role(connection: Connection, role: ListedRole) -> None:
    """Take the role from everybody, and delete it."""
    put_role(connection, Role(role.id, role.organization_id, role.name))
    audit.note(connection, role.organization_id, "role", role.name, {"permissions": ()}, None)
    here = and_(roles.c.organization_id == role.organization_id, roles.c.id == role.id)
    connection.execute(delete(roles).where(here))


def _of(role: Role) -> ColumnElement[bool]:
    return and_(role_members.c.organization_id == role.organization_id, role_members.c.role_id == role.id)


def _lists(organization_id: str, member: Member) -> ColumnElement[bool]:
    """Two look-ups, each by an index of its own; with one of both SQLite reads every member there is."""
    here = select(role_members.c.role_id).where(role_members.c.organization_id == organization_id)
    by_name = here.where(
        role_members.c.kind == "user",
        role_members.c.subject_id.is_(None),
        role_members.c.store == member.store,
        role_members.c.name == member.username,
    )
    by_subject = here.where(role_members.c.subject_id == member.subject_id)
    return or_(roles.c.id.in_(by_subject), roles.c.id.in_(by_name))


def _listed(connection: Connection, query: Select[Any]) -> Sequence[ListedRole]:
    return [_model(row) for row in connection.execute(query)]


def _model(row: Row[Any]) -> ListedRole:
    return ListedRole(row.id, row.organization_id, row.name, tuple(row.permissions), row.external_id)
