"""Roles, and who has them.

A role names users and groups of any user store, and clients. Names arrive canonical; a user's name
is pinned to the subject it first matches, so a name given to somebody else later carries nothing.
"""

from dataclasses import dataclass, field
from typing import Literal

ADMIN_ROLE = "admin"
ADMIN_PERMISSIONS = ("/permission/admin",)
PRIMARY = "PRIMARY"

MemberKind = Literal["user", "group", "client"]


@dataclass(frozen=True, slots=True, order=True)
class MemberName:
    """One member as a role lists it; `store` is empty for a client."""

    kind: MemberKind
    store: str
    name: str

    def __str__(self) -> str:
        return self.name if self.store in ("", PRIMARY) else f"{self.store}/{self.name}"


def a_user(text: str) -> MemberName:
    """`[STORE/]name` of a user, the name canonical already."""
    store, _, name = text.rpartition("/")
    return MemberName("user", store.upper() or PRIMARY, name)


def a_group(text: str) -> MemberName:
    """`[STORE/]name` of a group."""
    store, slash, name = text.partition("/")
    return MemberName("group", store.upper(), name) if slash else MemberName("group", PRIMARY, text)


def a_client(client_id: str) -> MemberName:
    """A client that acts for itself."""
    return MemberName("client", "", client_id)


@dataclass(frozen=True, slots=True)
class Role:
    """A set of permissions, given to its members."""

    id: str
    organization_id: str
    name: str
    permissions: tuple[str, ...] = ()
    members: frozenset[MemberName] = frozenset()


@dataclass(frozen=True, slots=True)
class Pin:
    """A user that a role lists, and the subject who bore the name at the first match."""

    member: MemberName
    subject_id: str


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody whose roles are asked for: a user of a store, or a client (`client_id`).

    Without `username` a user has only those roles that are pinned to the subject, and those of its groups.
    """

    subject_id: str | None = None
    store: str = ""
    username: str = ""
    groups: frozenset[str] = field(default_factory=frozenset)
    client_id: str | None = None
