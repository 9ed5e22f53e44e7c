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
from ostiary.permissions.guard import (
    FindOrganization,
    Guard,
    Principal,
    PrincipalKind,
    check_again,
    organization,
    principal,
)
from ostiary.permissions.membership import (
    ListedRole,
    Listing,
    TooManyMembers,
    delete_role,
    name_role,
    put_subjects,
    role_by_id,
    role_page,
    roles_listing,
    users_listed,
)
from ostiary.permissions.model import (
    ADMIN_PERMISSIONS,
    ADMIN_ROLE,
    Member,
    MemberName,
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
    put_role,
    roles_of,
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
    "ListedRole",
    "Listing",
    "Member",
    "MemberName",
    "PlainRoutes",
    "Principal",
    "PrincipalKind",
    "Role",
    "TooManyMembers",
    "a_client",
    "a_group",
    "a_user",
    "add_member",
    "check_again",
    "delete_role",
    "ensure_admin_role",
    "find_role",
    "list_roles",
    "name_role",
    "needs",
    "organization",
    "principal",
    "put_role",
    "put_subjects",
    "role_by_id",
    "role_page",
    "roles_listing",
    "roles_of",
    "users_listed",
]
