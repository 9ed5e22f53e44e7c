"""A person as a SCIM user, and a SCIM user as claims and other attributes. No I/O.

What tokens and backends are told is in claims, which organization files and the REST API know too;
`CLAIMS` says which attribute each is. Everything else of a user of PRIMARY is kept as it was said.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from scim2_models import GroupMembership, Meta, MutabilityException

from ostiary.identity.errors import InvalidUser
from ostiary.identity.model import Person
from ostiary.identity.scim.schemas import User
from ostiary.identity.user_names import PRIMARY, is_text
from ostiary.permissions import ListedRole

CLAIMS: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("name", "formatted"), "name"),
    (("name", "givenName"), "given_name"),
    (("name", "familyName"), "family_name"),
    (("name", "middleName"), "middle_name"),
    (("displayName",), "display_name"),
    (("nickName",), "nickname"),
    (("profileUrl",), "profile"),
    (("locale",), "locale"),
    (("timezone",), "zoneinfo"),
    (("emails",), "email"),
    (("phoneNumbers",), "phone_number"),
)
"""Attribute and claim. Of a list the claim is the value of its primary, or else its first entry."""

LARGEST_ATTRIBUTES: Final = 16_384
"""Bytes of JSON: all that is kept of one user besides claims."""
_LISTS: Final = frozenset({"emails", "phoneNumbers"})
_NOT_KEPT: Final = frozenset(
    {"schemas", "id", "meta", "externalId", "userName", "active", "password", "groups"}
)
_OWN: Final = frozenset(
    {
        "name", "displayName", "nickName", "profileUrl", "preferredLanguage", "locale", "timezone",
        "photos", "ims", "addresses",
    }
)  # fmt: skip
"""What people may change of themselves; by an e-mail address or a title others know or trust them."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a SCIM user says of somebody of PRIMARY. `claims` has all of `CLAIMS`, None for none."""

    claims: Mapping[str, str | None]
    attributes: Mapping[str, Any]
    external_id: str | None

    def merged(self, before: Mapping[str, str]) -> dict[str, str]:
        """The claims there are with these; those that SCIM knows no attribute for stay."""
        kept = {name: value for name, value in before.items() if name not in self.claims}
        return kept | {name: value for name, value in self.claims.items() if value is not None}


def present(person: Person, roles: Iterable[ListedRole]) -> User:
    """The user as the service keeps it; its location is added where its URL is known."""
    said: dict[str, Any] = deepcopy(dict(person.attributes))
    for path, claim in CLAIMS:
        _put(said, path, person.claims.get(claim))
    user: User = User.model_validate(said)
    user.id = person.subject.id
    user.external_id = person.external_id
    user.user_name = qualified_name(person)
    user.active = not person.is_disabled
    user.groups = [
        GroupMembership(value=role.id, ref=f"Groups/{role.id}", display=role.name, type="direct")
        for role in roles
    ] or None
    user.meta = Meta(
        resource_type="User",
        created=person.created_at,
        last_modified=person.changed_at,
        version=version_of(person),
    )
    return user


def describe(user: User) -> Described:
    """What the user says of itself besides name, password and whether it is active.

    Raises:
        InvalidUser: it is more than is kept, or cannot be kept.
    """
    said = {name: value for name, value in user.model_dump().items() if name not in _NOT_KEPT}
    claims = {claim: _take(said, path) for path, claim in CLAIMS}
    if user.external_id is not None and not is_text(user.external_id, 255):
        raise InvalidUser("externalId", "1 to 255 characters without NUL")
    text = json.dumps(said)
    if len(text) > LARGEST_ATTRIBUTES or "\\u0000" in text:
        raise InvalidUser("attributes", f"at most {LARGEST_ATTRIBUTES} bytes together, without NUL")
    return Described(claims, said, user.external_id)


def qualified_name(person: Person) -> str:
    """`name`, or `STORE/name` of an outside store: unique in the organization."""
    subject = person.subject
    return subject.username if subject.store == PRIMARY else f"{subject.store}/{subject.username}"


def check_changes(person: Person, wanted: User, *, is_own: bool) -> None:
    """Refuse what nobody may change of this person, or not of themselves.

    Raises:
        MutabilityException: RFC 7644 §3.12; names the attributes.
    """
    now, then = (user.model_dump() for user in (present(person, ()), wanted))
    changed = {
        name for name in {*now, *then} - {"meta", "groups", "schemas"} if now.get(name) != then.get(name)
    }
    if wanted.password is not None:
        changed.add("password")
    if wanted.active is None:
        changed.discard("active")
    allowed = frozenset() if is_own and person.is_outside else _OWN if is_own else frozenset({"active"})
    if (is_own or person.is_outside) and (refused := sorted(changed - allowed)):
        who = f"the user store {person.subject.store}" if person.is_outside else "an administrator"
        raise MutabilityException(detail=f"{', '.join(refused)}: only {who} changes this")


def _put(said: dict[str, Any], path: tuple[str, ...], value: str | None) -> None:
    """Write a claim where its attribute is; without a value the attribute goes."""
    *outer, last = path
    if path[0] in _LISTS:
        said[last] = _with_primary(said.get(last) or [], value)
        return
    for part in outer:
        said = said.setdefault(part, {})
    said[last] = value


def _with_primary(entries: list[dict[str, Any]], value: str | None) -> list[dict[str, Any]] | None:
    place = _primary(entries)
    if value is None:
        return [entry for index, entry in enumerate(entries) if index != place] or None
    if place is None:
        return [{"value": value, "primary": True}]
    return [entry | {"value": value} if index == place else entry for index, entry in enumerate(entries)]


def _take(said: dict[str, Any], path: tuple[str, ...]) -> str | None:
    """Read a claim from its attribute; a value that stands alone is not kept twice."""
    if path[0] in _LISTS:
        entries = said.get(path[0]) or []
        place = _primary(entries)
        return None if place is None else entries[place].get("value")
    for part in path[:-1]:
        said = said.get(part) or {}
    value = said.pop(path[-1], None)
    return None if value is None else str(value)


def _primary(entries: list[dict[str, Any]]) -> int | None:
    chosen = (index for index, entry in enumerate(entries) if entry.get("primary"))
    return next(chosen, 0 if entries else None)


def version_of(person: Person) -> str:
    """A weak entity tag of all that is shown of the person itself (RFC 7644 §3.14)."""
    told = json.dumps(
        [
            person.subject.username, dict(person.claims), dict(person.attributes), person.external_id,
            person.is_disabled, person.changed_at.isoformat(),
        ],
        sort_keys=True,
    )  # fmt: skip
    return f'W/"{hashlib.sha256(told.encode()).hexdigest()[:24]}"'
