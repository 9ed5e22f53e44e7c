"""The guard: one place decides who passes a route.

It runs on the matched route, before the body is read. Until the permission tree exists, a route
that takes a permission is for holders of the organization's built-in role `admin` alone.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from starlette.requests import Request

from ostiary.foundation.problem import Problem
from ostiary.foundation.web import came_from_node_listener
from ostiary.organizations import (
    DEFAULT_ORGANIZATION,
    InvalidOrganizationName,
    Organization,
    parse_name,
)
from ostiary.permissions.access import Access, Audience
from ostiary.permissions.model import ADMIN_ROLE


class PrincipalKind(Enum):
    """How a caller proved who it is."""

    USER = "user"
    LOCAL = "local administrator"
    """Same machine, same operating system user: the administration socket."""
    NODE = "gateway node"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `organization_id` is None for the installation's own parts."""

    kind: PrincipalKind
    name: str
    organization_id: str | None = None
    subject_id: str | None = None
    roles: frozenset[str] = frozenset()

    @property
    def is_local(self) -> bool:
        """Whether the caller runs the installation itself."""
        return self.kind is PrincipalKind.LOCAL


Authenticate = Callable[[Request, Organization], Awaitable[Principal | None]]
"""Who calls, in the organization of the URL; None where nothing valid was presented."""
FindOrganization = Callable[[str], Awaitable[Organization | None]]


class Guard:
    """Admits a request to its route, or refuses it."""

    def __init__(self, authenticate: Authenticate, find_organization: FindOrganization) -> None:
        self._authenticate = authenticate
        self._find_organization = find_organization

    async def admit(self, request: Request, access: Access) -> None:
        """Decide; what was found is on `request.state` as `principal` and `organization`.

        Raises:
            Problem: 401 without a valid caller of this organization, 403 without the permission.
        """
        if access.audience is Audience.ANYBODY:
            return
        if access.audience is Audience.NEW_GATEWAY_NODE:
            if not came_from_node_listener(request.scope):
                raise unauthenticated(request)
            return
        name = request.path_params.get("organization", DEFAULT_ORGANIZATION)
        organization = await self._find_organization(name)
        principal = None if organization is None else await self._authenticate(request, organization)
        if organization is None or principal is None:
            raise unauthenticated(request)
        if not _may_pass(principal, organization, access):
            raise Problem(403, "403", "Forbidden", f"this call takes {access} in the organization {name}")
        request.state.principal = principal
        request.state.organization = organization


def principal(request: Request) -> Principal:
    """The caller the guard admitted."""
    found: Principal = request.state.principal
    return found


def organization(request: Request) -> Organization:
    """The organization of the URL the guard admitted the caller to."""
    found: Organization = request.state.organization
    return found


def check_again(request: Request, access: Access) -> None:
    """Decide about one part of a request that was admitted, such as an operation of many.

    Raises:
        Problem: 403 without the permission.
    """
    name = organization(request).name
    if not _may_pass(principal(request), organization(request), access):
        raise Problem(403, "403", "Forbidden", f"this call takes {access} in the organization {name}")


def unauthenticated(request: Request) -> Problem:
    """The 401 of internal REST APIs (RFC 6750 §3, RFC 7617 §2)."""
    try:
        realm = parse_name(request.path_params.get("organization", DEFAULT_ORGANIZATION))
    except InvalidOrganizationName:
        realm = DEFAULT_ORGANIZATION  # what is in the URL may not fit into a header
    text = "no valid credentials for this organization were presented"
    return Problem(401, "401", "Unauthorized", text, {"WWW-Authenticate": f'Bearer realm="{realm}"'})


def _may_pass(caller: Principal, organization: Organization, access: Access) -> bool:
    if access.audience is Audience.GATEWAY_NODE:
        return caller.kind is PrincipalKind.NODE
    if caller.is_local:
        return True
    if caller.kind is PrincipalKind.NODE or caller.organization_id != organization.id:
        return False
    return access.audience is Audience.AUTHENTICATED or ADMIN_ROLE in caller.roles
