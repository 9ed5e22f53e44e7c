"""Permissions: the permission tree, roles, internal scopes, access declared at routes, and the guard.

Sees subjects, groups and clients as values.
"""

from ostiary.permissions.access import (
    GATEWAY_NODE,
    LOGGED_IN,
    NEW_GATEWAY_NODE,
    OPEN,
    Access,
    Audience,
    needs,
)
from ostiary.permissions.escalation import (
    Escalation,
    check_holds,
    check_role,
    permissions_of_name,
    permissions_through_store,
)
from ostiary.permissions.guard import (
    LOCAL_ADMINISTRATOR,
    FindOrganization,
    Guard,
    Principal,
    PrincipalKind,
    organization,
    principal,
)
from ostiary.permissions.internal_scopes import BINDINGS, LOGIN, SYSTEM, is_internal
from ostiary.permissions.model import (
    ADMIN_ROLE,
    BUILT_IN_ROLES,
    EVERYONE_ROLE,
    Holdings,
    Member,
    MemberName,
    Role,
    a_client,
    a_group,
    a_user,
    admin_permissions,
)
from ostiary.permissions.personal_data import PERSONAL_DATA
from ostiary.permissions.plain_routes import PlainRoutes
from ostiary.permissions.qualifying import asked_for, internal_scopes_of
from ostiary.permissions.repository import (
    ensure_built_in_roles,
    find_role,
    give_admin_role,
    holdings_of,
    list_roles,
    put_role,
    read_holdings,
)
from ostiary.permissions.router import GuardedRoute, GuardedRouter
from ostiary.permissions.settings import AccessOverride, AccessSettings
from ostiary.permissions.tree import ADMIN, NODES, PROTECTED, Permissions, holds, holds_all, not_held

__all__ = [
    "ADMIN",
    "ADMIN_ROLE",
    "BINDINGS",
    "BUILT_IN_ROLES",
    "EVERYONE_ROLE",
    "GATEWAY_NODE",
    "LOCAL_ADMINISTRATOR",
    "LOGGED_IN",
    "LOGIN",
    "NEW_GATEWAY_NODE",
    "NODES",
    "OPEN",
    "PERSONAL_DATA",
    "PROTECTED",
    "SYSTEM",
    "Access",
    "AccessOverride",
    "AccessSettings",
    "Audience",
    "Escalation",
    "FindOrganization",
    "Guard",
    "GuardedRoute",
    "GuardedRouter",
    "Holdings",
    "Member",
    "MemberName",
    "Permissions",
    "PlainRoutes",
    "Principal",
    "PrincipalKind",
    "Role",
    "a_client",
    "a_group",
    "a_user",
    "admin_permissions",
    "asked_for",
    "check_holds",
    "check_role",
    "ensure_built_in_roles",
    "find_role",
    "give_admin_role",
    "holdings_of",
    "holds",
    "holds_all",
    "internal_scopes_of",
    "is_internal",
    "list_roles",
    "needs",
    "not_held",
    "organization",
    "permissions_of_name",
    "permissions_through_store",
    "principal",
    "put_role",
    "read_holdings",
]
