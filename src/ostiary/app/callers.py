"""Who calls a guarded endpoint: the local administrator, a user with a password, a gateway node.

Bearer tokens for people and scripts join with the permission tree: until then no token carries the
management audience, so none is accepted.
"""

import base64
import binascii

from pydantic import SecretStr
from starlette.requests import Request

from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem
from ostiary.foundation.secrets import SecretBox
from ostiary.foundation.web import came_from_node_listener, client_address, node_of_certificate
from ostiary.gateway import find_enrolled_node, find_node_by_credential
from ostiary.identity import Authentication, LoginRefused, LoginUnavailable
from ostiary.organizations import Organization
from ostiary.permissions import ADMIN_ROLE, Member, Principal, PrincipalKind, roles_of

MANAGEMENT_CLIENT = "ostiary-management"
"""With the address, what lock-out counts a management login under: who guesses elsewhere locks out nobody."""
_LONGEST = 4096


class Callers:
    """Authenticates the callers of guarded endpoints."""

    def __init__(self, database: Database, box: SecretBox, authentication: Authentication) -> None:
        self._database = database
        self._box = box
        self._authentication = authentication

    async def identify(self, request: Request, organization: Organization) -> Principal | None:
        """The caller, or None where nothing valid was presented.

        Raises:
            Problem: 503 while nobody can say whether a password is right.
        """
        if request.scope.get("state", {}).get("local_administrator") is True:
            return Principal(PrincipalKind.LOCAL, "local administrator", roles=frozenset({ADMIN_ROLE}))
        if came_from_node_listener(request.scope):
            return await self._certified_node(request)
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if len(value) > _LONGEST or len(request.headers.getlist("authorization")) != 1:
            return None
        if scheme.lower() == "basic":
            return await self._user(organization, value.strip(), client_address(request))
        if scheme.lower() == "bearer":
            return await self._node(value.strip())
        return None

    async def _certified_node(self, request: Request) -> Principal | None:
        """The node whose certificate the node listener verified; nothing else is taken there."""
        node_id = node_of_certificate(request.scope)
        if node_id is None:
            return None
        found = await self._database.recall(
            ("enrolled node", node_id), lambda c: find_enrolled_node(c, node_id)
        )
        return None if found is None else Principal(PrincipalKind.NODE, found.id)

    async def _user(self, organization: Organization, value: str, address: str) -> Principal | None:
        credentials = parse_basic(value)
        if credentials is None:
            return None
        client = f"{MANAGEMENT_CLIENT}:{address}"
        try:
            user = await self._authentication.authenticate(organization, *credentials, client_id=client)
        except LoginRefused:
            return None
        except LoginUnavailable as error:
            seconds = str(max(1, round(error.retry_after.total_seconds())))
            raise Problem(503, "503", "Service Unavailable", str(error), {"Retry-After": seconds}) from None
        subject = user.subject
        member = Member(subject.id, subject.store, subject.username, user.groups)
        roles = await self._database.write(lambda connection: roles_of(connection, organization.id, member))
        name = subject.display(organization.name)
        return Principal(PrincipalKind.USER, name, organization.id, subject.id, roles)

    async def _node(self, credential: str) -> Principal | None:
        found = await self._database.recall(
            ("node", self._box.fingerprint(credential, "callers:node")),
            lambda c: find_node_by_credential(c, SecretStr(credential), self._box),
        )
        return None if found is None else Principal(PrincipalKind.NODE, found.id)


def parse_basic(value: str) -> tuple[str, SecretStr] | None:
    """User name and password of Basic credentials (RFC 7617 §2); None where they are not well-formed."""
    try:
        name, colon, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, SecretStr(password)) if colon else None
