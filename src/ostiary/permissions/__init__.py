"""Permissions: roles, access declared at routes, and the guard that enforces it.

Sees subjects, groups and clients as values. The permission tree and internal scopes come with
their own issue; until then the built-in role `admin` passes what takes a permission.
"""

from ostiary.permissions.access import (
    AUTHENTICATED,
    GATEWAY_NODE,
    NEW_GATEWAY_NODE,
    OPEN,
    Access,
    Audience,
    needs,
)
from ostiary.permissions.errors import UnknownPin, UnknownRole
from ostiary.permissions.guard import (
    FindOrganization,
    Guard,
    Principal,
    PrincipalKind,
    organization,
    principal,
)
from ostiary.permissions.model import (
    ADMIN_PERMISSIONS,
    ADMIN_ROLE,
    Member,
    MemberName,
    Pin,
    Role,
    a_client,
    a_group,
    a_user,
)
from ostiary.permissions.plain_routes import PlainRoutes
from ostiary.permissions.repository import (
    add_member,
    ensure_admin_role,
    find_role,
    list_roles,
    pins_of,
    put_role,
    roles_of,
    unpin,
)
from ostiary.permissions.router import GuardedRoute, GuardedRouter

__all__ = [
    "ADMIN_PERMISSIONS",
    "ADMIN_ROLE",
    "AUTHENTICATED",
    "GATEWAY_NODE",
    "NEW_GATEWAY_NODE",
    "OPEN",
    "Access",
    "Audience",
    "FindOrganization",
    "Guard",
    "GuardedRoute",
    "GuardedRouter",
    "Member",
    "MemberName",
    "Pin",
    "PlainRoutes",
    "Principal",
    "PrincipalKind",
    "Role",
    "UnknownPin",
    "UnknownRole",
    "a_client",
    "a_group",
    "a_user",
    "add_member",
    "ensure_admin_role",
    "find_role",
    "list_roles",
    "needs",
    "organization",
    "pins_of",
    "principal",
    "put_role",
    "roles_of",
    "unpin",
]
