"""SCIM users: people of PRIMARY, and people seen in an outside store, of whom only `active` can be changed.

Functions of a connection; passwords are hashed before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scim2_models import (
    MutabilityException,
    NotFoundException,
    PreconditionFailedException,
    UniquenessException,
)
from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.identity.errors import InvalidUserName
from ostiary.identity.model import Person, UserSpec
from ostiary.identity.passwords import NO_PASSWORD
from ostiary.identity.powers import check_new_user, check_power_over
from ostiary.identity.repository import people
from ostiary.identity.scim.filters import Search
from ostiary.identity.scim.representation import check_changes, describe, present, version_of
from ostiary.identity.scim.schemas import User
from ostiary.identity.user_names import PRIMARY, UserName, is_text
from ostiary.identity.users import (
    add_user,
    canonical_username,
    delete_user,
    disable_subject,
    disable_user,
    enable_subject,
    find_user,
    put_user,
)
from ostiary.organizations import Organization
from ostiary.permissions import Member, Principal, roles_listing

_TAKEN = "userName: one that no user of the organization has"


@dataclass(frozen=True, slots=True)
class Domain:
    """The store whose people are listed: `id` is PRIMARY or that of its settings."""

    id: str = PRIMARY
    name: str = PRIMARY
    is_case_sensitive: bool = False


def read_user(connection: Connection, organization_id: str, subject_id: str) -> User:
    """The user of that `sub`, whatever the store.

    Raises:
        NotFoundException: the organization has none.
    """
    return _presented(connection, organization_id, [_person(connection, organization_id, subject_id)])[0]


def list_people(
    connection: Connection, organization: Organization, domain: Domain, search: Search
) -> tuple[int, Sequence[User]]:
    """How many people of the store fit, and a page of them by name."""
    terms = dict(search.terms)
    for term in terms.keys() & {"username", "username_prefix"}:
        name = _compared(terms[term], organization, domain, term)
        if name is None:
            return 0, []
        terms[term] = name
    if "id" in terms:
        found = _one(connection, organization.id, domain, terms)
        return len(found), _presented(connection, organization.id, found[search.offset :][: search.limit])
    total, listed = people.page(
        connection,
        organization.id,
        (domain.id, domain.name),
        terms,
        descending=search.descending,
        offset=search.offset,
        limit=search.limit,
    )
    return total, _presented(connection, organization.id, listed)


def create_user(
    connection: Connection,
    organization_id: str,
    wanted: User,
    password_hash: str | None,
    clock: Clock,
    caller: Principal,
) -> User:
    """Make a user of PRIMARY; without a password nobody can log in as it yet.

    Raises:
        UniquenessException: there is one of that name.
        Escalation: roles that list the name give more than the caller holds.
        InvalidUser: names the field and what was expected of it.
    """
    name = wanted.user_name or ""
    if find_user(connection, organization_id, name) is not None:
        raise UniquenessException(detail=_TAKEN)
    check_new_user(connection, caller, organization_id, canonical_username(connection, organization_id, name))
    said = describe(wanted)
    spec = UserSpec(organization_id, name, password_hash or NO_PASSWORD, said.merged({}))
    if not add_user(connection, spec, clock):  # somebody else has just made it
        raise UniquenessException(detail=_TAKEN)
    made = find_user(connection, organization_id, name)
    assert made is not None  # noqa: S101 (just made)
    person = _person(connection, organization_id, made.subject_id)
    people.describe(connection, person, said.external_id, said.attributes, clock())
    if wanted.active is False:
        disable_user(connection, organization_id, name, clock)
    return read_user(connection, organization_id, made.subject_id)


def change_user(
    connection: Connection,
    organization_id: str,
    wanted: User,
    password_hash: str | None,
    clock: Clock,
    caller: Principal | None,
    expected_version: str | None,
) -> User:
    """Make the user what is given. A new password or `active: false` ends its tokens within a second.

    `caller` is None for somebody about themselves.

    Raises:
        NotFoundException, PreconditionFailedException: it is gone or has another version.
        Escalation: the user holds more than the caller.
        MutabilityException: the store of the person alone may change that, or an administrator.
        InvalidUser: names the field and what was expected of it.
    """
    person = _person(connection, organization_id, wanted.id)
    _check_version(person, expected_version)
    check_changes(person, wanted, is_own=caller is None)
    if caller is not None:
        check_power_over(connection, caller, organization_id, person.subject.id)
    subject = person.subject
    if not person.is_outside:
        said = describe(wanted)
        put_user(
            connection,
            UserSpec(organization_id, subject.username, password_hash, said.merged(person.claims)),
            clock,
        )
        people.describe(connection, person, said.external_id, said.attributes, clock())
    if wanted.active is False:
        disable_subject(connection, organization_id, subject.id, clock)
    elif wanted.active:
        enable_subject(connection, organization_id, subject.id)
    return read_user(connection, organization_id, subject.id)


def remove_user(
    connection: Connection,
    organization_id: str,
    subject_id: str,
    caller: Principal,
    expected_version: str | None,
) -> None:
    """Delete a user of PRIMARY; its tokens are refused within a second.

    Raises:
        NotFoundException, PreconditionFailedException: it is gone or has another version.
        MutabilityException: the person is of an outside store.
        Escalation: the user holds more than the caller.
    """
    person = _person(connection, organization_id, subject_id)
    _check_version(person, expected_version)
    if person.is_outside:
        raise MutabilityException(
            detail=f"only the user store {person.subject.store} can do without this user"
        )
    check_power_over(connection, caller, organization_id, subject_id)
    delete_user(connection, organization_id, person.subject.username)


def _person(connection: Connection, organization_id: str, subject_id: str | None) -> Person:
    found = (
        people.find(connection, organization_id, subject_id or "") if is_text(subject_id or "", 36) else None
    )
    if found is None:
        raise NotFoundException(detail="there is no such user")
    return found


def _one(
    connection: Connection, organization_id: str, domain: Domain, terms: Mapping[str, str]
) -> list[Person]:
    """The person of that `id`, where the store and the other terms fit too."""
    person = people.find(connection, organization_id, terms["id"])
    if person is None or person.subject.store != domain.name:
        return []
    name = person.subject.username
    fits = (
        terms.get("username", name) == name,
        name.startswith(terms.get("username_prefix", "")),
        terms.get("external_id", person.external_id) == person.external_id,
    )
    return [person] if all(fits) else []


def _check_version(person: Person, expected: str | None) -> None:
    if expected is not None and expected != version_of(person):
        raise PreconditionFailedException(detail="the user has changed meanwhile")


def _presented(connection: Connection, organization_id: str, found: Sequence[Person]) -> list[User]:
    members = [Member(one.subject.id, one.subject.store, one.subject.username) for one in found]
    roles = roles_listing(connection, organization_id, members)
    return [present(person, roles.get(person.subject.id, ())) for person in found]


def _compared(text: str, organization: Organization, domain: Domain, term: str) -> str | None:
    """The name as the store compares it; None where nobody of the store can have it."""
    if term == "username_prefix":
        begin = text[len(domain.name) + 1 :] if text.upper().startswith(f"{domain.name}/") else text
        return begin if domain.is_case_sensitive else begin.lower()
    try:
        parsed = UserName.parse(text, organization.name, {domain.name: domain.is_case_sensitive})
    except InvalidUserName:
        return None
    if (parsed.store or domain.name) != domain.name:
        return None
    return parsed.canonical(case_sensitive=domain.is_case_sensitive)
