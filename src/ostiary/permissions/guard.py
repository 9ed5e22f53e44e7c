"""The guard: one place decides who passes a route.

It runs on the matched route, before the body is read. A token needs the scopes of the route, and whoever
presents it the permissions, now: so a token is never wider than its user has become.
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
from ostiary.permissions.tree import PERMISSION, Permissions, not_held


class PrincipalKind(Enum):
    """How a caller proved who it is."""

    USER = "user"
    CLIENT = "client"
    """A client that acts for itself."""
    LOCAL = "local administrator"
    """Same machine, same operating system user: the administration socket."""
    NODE = "gateway node"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `organization_id` is None for the installation's own parts.

    `scopes` is what its token carries, or None where it has shown no token but a password.
    """

    kind: PrincipalKind
    name: str
    organization_id: str | None = None
    subject_id: str | None = None
    client_id: str | None = None
    permissions: Permissions = frozenset()
    scopes: frozenset[str] | None = None

    @property
    def is_local(self) -> bool:
        """Whether the caller runs the installation itself."""
        return self.kind is PrincipalKind.LOCAL


LOCAL_ADMINISTRATOR = Principal(
    PrincipalKind.LOCAL, "local administrator", permissions=frozenset({PERMISSION})
)
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
            raise unauthenticated(request, access)
        request.state.principal = principal  # of whoever is refused too: the audit log says who
        if (refusal := _refusal(principal, organization, access)) is not None:
            raise refusal
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
        Problem: 403 without the scope or the permission.
    """
    if (refusal := _refusal(principal(request), organization(request), access)) is not None:
        raise refusal


def unauthenticated(request: Request, access: Access | None = None) -> Problem:
    """The 401 of internal REST APIs (RFC 6750 §3, RFC 7617 §2); the challenge names the route's scopes."""
    try:
        realm = parse_name(request.path_params.get("organization", DEFAULT_ORGANIZATION))
    except InvalidOrganizationName:
        realm = DEFAULT_ORGANIZATION  # what is in the URL may not fit into a header
    text = "no valid credentials for this organization were presented"
    return Problem(401, 401, "Unauthorized", text, {"WWW-Authenticate": _challenge(realm, access)})


def _challenge(realm: str, access: Access | None, error: str = "") -> str:
    parts = [f'realm="{realm}"']
    if error:
        parts.append(f'error="{error}"')
    if access is not None and access.scopes:
        parts.append(f'scope="{" ".join(sorted(access.scopes))}"')
    return f"Bearer {', '.join(parts)}"


def _refusal(caller: Principal, organization: Organization, access: Access) -> Problem | None:
    """Why the caller may not pass; None where it may."""
    if access.audience is Audience.GATEWAY_NODE or caller.kind is PrincipalKind.NODE:
        is_one = access.audience is Audience.GATEWAY_NODE and caller.kind is PrincipalKind.NODE
        return None if is_one else _forbidden(f"this call is for {access}")
    if access.audience is Audience.USER and caller.kind is not PrincipalKind.USER:
        return _forbidden(f"this call is for {access}: a {caller.kind.value} has no user record")
    if not caller.is_local and caller.organization_id != organization.id:
        return _forbidden(f"this call is for callers of the organization {organization.name}")
    if caller.scopes is not None and not access.scopes <= caller.scopes:
        return _insufficient_scope(access, caller.scopes, organization.name)
    if lacking := not_held(caller.permissions, access.permissions):
        who = f"{caller.name} does not have {' and '.join(lacking)}"
        return _forbidden(f"this call takes {access} in the organization {organization.name}: {who}")
    return None


def _insufficient_scope(access: Access, scopes: frozenset[str], organization: str) -> Problem:
    """RFC 6750 §3.1."""
    takes, lacks = (" ".join(sorted(names)) for names in (access.scopes, access.scopes - scopes))
    which = "it" if takes == lacks else lacks
    description = f"this call takes a token with the scope {takes}: yours does not have {which}"
    challenge = _challenge(organization, access, "insufficient_scope")
    return _forbidden(description, {"WWW-Authenticate": challenge})


def _forbidden(description: str, headers: dict[str, str] | None = None) -> Problem:
    return Problem(403, 403, "Forbidden", description, headers)
