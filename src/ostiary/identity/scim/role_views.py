"""A role as SCIM shows it, and what a client says of one: two views of the same thing (ADR 0018). No I/O."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from scim2_models import InvalidValueException, Meta

from ostiary.identity.model import Subject
from ostiary.identity.scim.schemas import Group, Role, RoleMember
from ostiary.identity.user_names import PRIMARY, is_text
from ostiary.permissions import NODES, ListedRole

View = type[Group] | type[Role]
MOST_MEMBERS: Final = 10_000
"""Of all roles of an answer together; more are refused, never left out."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A role as a client describes it; None is what its view does not say."""

    name: str
    external_id: str | None
    user_ids: frozenset[str]
    permissions: tuple[str, ...] | None

    @classmethod
    def read(cls, said: Group | Role) -> "Wanted":
        """What a client has sent.

        Raises:
            InvalidValueException: names the attribute and what was expected of it.
        """
        listed = said.members if isinstance(said, Group) else said.users
        ids = frozenset(entry.value or "" for entry in listed or ())
        permissions = tuple(dict.fromkeys(said.permissions or ())) if isinstance(said, Role) else None
        _expect("displayName", is_text(said.display_name or "", 100), "1 to 100 characters without NUL")
        _expect(
            "externalId", said.external_id is None or is_text(said.external_id, 255), "1 to 255 characters"
        )
        _expect("members", all(is_text(one, 36) for one in ids), "identifiers of users")
        _expect("members", len(ids) <= MOST_MEMBERS, f"at most {MOST_MEMBERS}")
        _expect("permissions", NODES.issuperset(permissions or ()), "nodes of the permission tree")
        return cls(said.display_name or "", said.external_id, ids, permissions)


def present(view: View, role: ListedRole, members: Iterable[Subject] | None) -> Group | Role:
    """The role as one of its views, with a version where its members are known."""
    listed = (
        None if members is None else [_entry(one) for one in sorted(members, key=lambda one: one.id)] or None
    )
    said: dict[str, Any] = {"display_name": role.name, "external_id": role.external_id, "id": role.id}
    if view is Group:
        shown: Group | Role = Group(**said, members=listed)
    else:
        shown = Role(**said, users=listed, permissions=list(role.permissions) or None)
    told = json.dumps([role.name, role.permissions, role.external_id, [one.value for one in listed or ()]])
    version = None if members is None else f'W/"{hashlib.sha256(told.encode()).hexdigest()[:24]}"'
    shown.meta = Meta(resource_type=view.__name__, version=version)
    return shown


def _entry(subject: Subject) -> RoleMember:
    name = subject.username if subject.store == PRIMARY else f"{subject.store}/{subject.username}"
    return RoleMember(value=subject.id, ref=f"Users/{subject.id}", type="User", display=name)


def _expect(attribute: str, holds: bool, expected: str) -> None:
    if not holds:
        raise InvalidValueException(detail=f"{attribute}: {expected}")
