"""Roles as SCIM groups and as SCIM roles: one list, two views (ADR 0018).

Users are shown whom a role lists itself and who are known. Names nobody has borne yet, groups of
outside stores and clients stay as they are, whatever is put here. Functions of a connection.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from scim2_models import (
    InvalidValueException,
    MutabilityException,
    NotFoundException,
    PreconditionFailedException,
    TooManyException,
    UniquenessException,
)
from sqlalchemy import Connection

from ostiary.foundation.identifiers import new_id
from ostiary.identity.model import Subject
from ostiary.identity.repository import people
from ostiary.identity.scim.filters import Search
from ostiary.identity.scim.role_views import MOST_MEMBERS, View, Wanted, present
from ostiary.identity.scim.schemas import Group, Role
from ostiary.identity.user_names import is_text
from ostiary.permissions import (
    ADMIN_ROLE,
    BUILT_IN_ROLES,
    EVERYONE_ROLE,
    ListedRole,
    Listing,
    Member,
    MemberName,
    Principal,
    TooManyMembers,
    check_holds,
    delete_role,
    find_role,
    name_role,
    put_subjects,
    role_by_id,
    role_page,
    users_listed,
)
from ostiary.permissions import Role as StoredRole

_CHUNK = 500


def read_role(
    connection: Connection, view: View, organization_id: str, role_id: str, *, with_members: bool = True
) -> Group | Role:
    """The role of that identifier.

    Raises:
        NotFoundException: the organization has none.
        TooManyException: it has more members than are read at once.
    """
    role = _role(connection, organization_id, role_id)
    return _presented(connection, view, [role], with_members=with_members)[0]


def list_roles(
    connection: Connection, view: View, organization_id: str, search: Search, *, with_members: bool
) -> tuple[int, Sequence[Group | Role]]:
    """How many roles fit, and a page of them by name."""
    terms = dict(search.terms)
    member: Member | None = None
    if "member" in terms:
        found = people.by_ids(connection, organization_id, [terms.pop("member")])
        if not found:
            return 0, []
        member = Member(found[0].id, found[0].store, found[0].username)
    total, roles = role_page(
        connection,
        organization_id,
        terms,
        member,
        descending=search.descending,
        offset=search.offset,
        limit=search.limit,
    )
    return total, _presented(connection, view, roles, with_members=with_members)


def create_role(
    connection: Connection, view: View, organization_id: str, said: Group | Role, caller: Principal
) -> Group | Role:
    """Make a role.

    Raises:
        UniquenessException: there is one of that name.
        Escalation: it gives more than the caller holds.
        InvalidValueException: names the attribute and what was expected of it.
    """
    wanted = Wanted.read(said)
    if find_role(connection, organization_id, wanted.name) is not None:
        raise UniquenessException(detail="displayName: one that no role of the organization has")
    made = ListedRole(new_id(), organization_id, wanted.name, wanted.permissions or (), wanted.external_id)
    check_holds(caller, made.permissions)
    _put(connection, made, frozenset(), wanted, {})
    return read_role(connection, view, organization_id, made.id)


def change_role(
    connection: Connection,
    organization_id: str,
    said: Group | Role,
    caller: Principal,
    expected_version: str | None,
) -> Group | Role:
    """Make the role what is given; who loses it has its tokens refused within a second.

    Raises:
        NotFoundException, PreconditionFailedException: it is gone or has another version.
        Escalation: it gives, or gave, more than the caller holds.
        MutabilityException: a built-in role has its permissions for good.
        InvalidValueException: names the attribute and what was expected of it.
    """
    role = _role(connection, organization_id, said.id or "")
    _check_version(connection, type(said), role, expected_version)
    wanted = Wanted.read(said)
    check_holds(caller, {*role.permissions, *(wanted.permissions or ())})
    if wanted.permissions is not None and set(wanted.permissions) != set(role.permissions):
        if role.name == ADMIN_ROLE:
            raise MutabilityException(detail="permissions: the role admin has all of them")
        role = replace(role, permissions=wanted.permissions)
    stored = find_role(connection, organization_id, role.name)
    shown = _subjects(
        connection, organization_id, users_listed(connection, organization_id, [role.id], MOST_MEMBERS)
    )
    names = {one.id: MemberName("user", listing.store, listing.name) for listing, one in shown.items()}
    kept = (stored.members if stored else frozenset()) - set(names.values())
    _put(connection, role, kept, wanted, names)
    return read_role(connection, type(said), organization_id, role.id)


def remove_role(
    connection: Connection,
    view: View,
    organization_id: str,
    role_id: str,
    caller: Principal,
    expected_version: str | None,
) -> None:
    """Take the role from everybody, and delete it.

    Raises:
        NotFoundException, PreconditionFailedException: it is gone or has another version.
        Escalation: it gives more than the caller holds.
        MutabilityException: it is built in.
    """
    role = _role(connection, organization_id, role_id)
    _check_version(connection, view, role, expected_version)
    if role.name in BUILT_IN_ROLES:
        raise MutabilityException(detail=f"the role {role.name} is built in")
    check_holds(caller, role.permissions)
    delete_role(connection, role)


def _put(
    connection: Connection,
    role: ListedRole,
    kept: frozenset[MemberName],
    wanted: Wanted,
    names: Mapping[str, MemberName],
) -> None:
    """Write a role: the one place where SCIM gives anybody anything. `names` are those of listed users."""
    if role.name == EVERYONE_ROLE and wanted.user_ids:
        raise MutabilityException(detail="members: every user has the role everyone, and none is listed")
    found = [
        subject
        for ids in _chunks(sorted(wanted.user_ids))
        for subject in people.by_ids(connection, role.organization_id, ids)
    ]
    missing = wanted.user_ids - {subject.id for subject in found}
    if missing:
        raise InvalidValueException(detail=f"members: there is no user {min(missing)!r}")
    stored = StoredRole(role.id, role.organization_id, role.name, role.permissions, kept)
    put_subjects(connection, stored, {_name(subject, names): subject.id for subject in found})
    name_role(connection, role, wanted.external_id)


def _presented(
    connection: Connection, view: View, roles: Sequence[ListedRole], *, with_members: bool
) -> list[Group | Role]:
    if not roles:
        return []
    if not with_members:
        return [present(view, role, None) for role in roles]
    organization_id = roles[0].organization_id
    try:
        listings = users_listed(connection, organization_id, [role.id for role in roles], MOST_MEMBERS)
    except TooManyMembers:
        text = f"more than {MOST_MEMBERS} members together: ask for fewer roles, or without members"
        raise TooManyException(detail=text) from None
    subjects = _subjects(connection, organization_id, listings)
    members: dict[str, dict[str, Subject]] = {role.id: {} for role in roles}
    for listing in listings:
        if (subject := subjects.get(listing)) is not None:
            members[listing.role_id][subject.id] = subject
    return [present(view, role, members[role.id].values()) for role in roles]


def _subjects(
    connection: Connection, organization_id: str, listings: Sequence[Listing]
) -> Mapping[Listing, Subject]:
    """Who the listed users are; those whose name nobody has borne, and those who are gone, are left out."""
    tied = {listing.subject_id for listing in listings if listing.subject_id is not None}
    by_id = {
        one.id: one
        for ids in _chunks(sorted(tied))
        for one in people.by_ids(connection, organization_id, ids)
    }
    by_name: dict[tuple[str, str], Subject] = {}
    named: dict[str, list[str]] = {}
    for listing in listings:
        if listing.subject_id is None:
            named.setdefault(listing.store, []).append(listing.name)
    for store, names in named.items():
        for some in _chunks(sorted(set(names))):
            by_name |= {
                (one.store, one.username): one
                for one in people.by_names(connection, organization_id, store, some)
            }
    found = {
        listing: by_name.get((listing.store, listing.name))
        if listing.subject_id is None
        else by_id.get(listing.subject_id)
        for listing in listings
    }
    return {listing: subject for listing, subject in found.items() if subject is not None}


def _role(connection: Connection, organization_id: str, role_id: str) -> ListedRole:
    found = role_by_id(connection, organization_id, role_id) if is_text(role_id, 36) else None
    if found is None:
        raise NotFoundException(detail="there is no such role")
    return found


def _check_version(connection: Connection, view: View, role: ListedRole, expected: str | None) -> None:
    if expected is None:
        return
    now = _presented(connection, view, [role], with_members=True)[0]
    if now.meta is None or now.meta.version != expected:
        raise PreconditionFailedException(detail="the role has changed meanwhile")


def _name(subject: Subject, names: Mapping[str, MemberName]) -> MemberName:
    return names.get(subject.id) or MemberName("user", subject.store, subject.username)


def _chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))
