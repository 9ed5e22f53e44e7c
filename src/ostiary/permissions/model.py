"""Roles, and who has them.

A role names users and groups of any user store, and clients. Names arrive canonical; a user's name
is pinned to the subject it first matches, so a name given to somebody else later carries nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from ostiary.organizations import DEFAULT_ORGANIZATION
from ostiary.permissions.tree import ADMIN, PROTECTED, Permissions

ADMIN_ROLE = "admin"
EVERYONE_ROLE = "everyone"
"""Every user has it, of every store; nobody is listed as its member."""
PRIMARY = "PRIMARY"

_PUBLISHING = ("/permission/admin/manage/api",)
_SUBSCRIBING = (
    "/permission/admin/manage/api/view",
    "/permission/admin/manage/api/plan/view",
    "/permission/admin/manage/api/application",
    "/permission/admin/manage/api/subscription",
)
BUILT_IN_ROLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        ADMIN_ROLE: (ADMIN,),
        EVERYONE_ROLE: (),
        "publisher": _PUBLISHING,
        "subscriber": _SUBSCRIBING,
    }
)
"""The roles every organization begins with, and their permissions then."""

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
class Pinned:
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


@dataclass(frozen=True, slots=True)
class Holdings:
    """What somebody has now: the names of its roles, and the permissions of all of them together."""

    roles: frozenset[str] = frozenset()
    permissions: Permissions = frozenset()
    to_pin: bool = False
    """A role lists the user by a name that is not yet tied to it; only a write transaction can tie it."""


def admin_permissions(organization_name: str) -> tuple[str, ...]:
    """What the role `admin` has: all of the organization and, in `default`, the installation's own too."""
    return (ADMIN, PROTECTED) if organization_name == DEFAULT_ORGANIZATION else (ADMIN,)
