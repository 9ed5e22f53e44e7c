"""Who calls a guarded endpoint: the local administrator, whoever a token speaks for, a gateway node.

A password in place of a token is taken only where the settings say so.
"""

import base64
import binascii

from pydantic import SecretStr
from starlette.requests import Request

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem
from ostiary.foundation.secrets import SecretBox
from ostiary.foundation.web import came_from_node_listener, client_address, node_of_certificate
from ostiary.gateway import find_enrolled_node, find_node_by_credential
from ostiary.identity import Authentication, LoginRefused, LoginUnavailable, check_standing
from ostiary.oauth import TokenClaims, TokenHolder, judge_access_token
from ostiary.organizations import Organization
from ostiary.permissions import (
    LOCAL_ADMINISTRATOR,
    Holdings,
    Member,
    Principal,
    PrincipalKind,
    holdings_of,
    read_holdings,
)

MANAGEMENT_CLIENT = "ostiary-management"
"""With the address, what lock-out counts a management login under: who guesses elsewhere locks out nobody."""
_LONGEST = 8192
_DOTS_OF_A_JWT = 2


class Callers:
    """Authenticates the callers of guarded endpoints."""

    def __init__(
        self,
        database: Database,
        box: SecretBox,
        authentication: Authentication,
        public_url: str,
        clock: Clock,
        *,
        takes_passwords: bool,
    ) -> None:
        self._database = database
        self._box = box
        self._authentication = authentication
        self._public_url = public_url
        self._takes_passwords = takes_passwords
        self._clock = clock

    async def identify(self, request: Request, organization: Organization) -> Principal | None:
        """The caller, or None where nothing valid was presented.

        Raises:
            Problem: 503 while nobody can say whether a password is right.
        """
        if request.scope.get("state", {}).get("local_administrator") is True:
            return LOCAL_ADMINISTRATOR
        if came_from_node_listener(request.scope):
            return await self._certified_node(request)
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if len(value) > _LONGEST or len(request.headers.getlist("authorization")) != 1:
            return None
        if scheme.lower() == "basic" and self._takes_passwords:
            return await self._user(request, organization, value.strip())
        if scheme.lower() == "bearer":
            return await self._bearer(organization, value.strip())
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

    async def _user(self, request: Request, organization: Organization, value: str) -> Principal | None:
        credentials = parse_basic(value)
        if credentials is None:
            return None
        client = f"{MANAGEMENT_CLIENT}:{client_address(request)}"
        try:
            user = await self._authentication.authenticate(organization, *credentials, client_id=client)
        except LoginRefused as refused:
            request.state.refused_login = refused
            return None
        except LoginUnavailable as error:
            seconds = str(max(1, round(error.retry_after.total_seconds())))
            raise Problem(503, "503", "Service Unavailable", str(error), {"Retry-After": seconds}) from None
        subject = user.subject
        member = Member(subject.id, subject.store, subject.username, user.groups)
        held = await self._holdings(organization, member)
        name = subject.display(organization.name)
        return Principal(PrincipalKind.USER, name, organization.id, subject.id, permissions=held.permissions)

    async def _bearer(self, organization: Organization, token: str) -> Principal | None:
        if token.count(".") != _DOTS_OF_A_JWT and (node := await self._node(token)) is not None:
            return node
        judged = await self._database.recall(
            ("access token", self._box.fingerprint(token, "callers:token")),
            lambda connection: judge_access_token(connection, self._box, token, self._public_url),
        )
        if judged is None or not judged.is_good(self._clock()):
            return None
        claims = judged.claims
        if claims.organization.id != organization.id:
            return None  # its scopes say whether it is for management too: the guard tells which are missing
        if claims.holder is TokenHolder.APPLICATION:
            return await self._client(organization, claims)
        return await self._subject(organization, claims)

    async def _client(self, organization: Organization, claims: TokenClaims) -> Principal:
        """A client that acts for itself has the roles that name it."""
        held = await self._holdings(organization, Member(client_id=claims.client_id))
        return Principal(
            PrincipalKind.CLIENT,
            claims.client_id,
            organization.id,
            client_id=claims.client_id,
            permissions=held.permissions,
            scopes=claims.scope,
        )

    async def _subject(self, organization: Organization, claims: TokenClaims) -> Principal | None:
        """A user as it stands now: whoever was disabled or deleted is nobody, whatever the token says."""
        standing = await self._database.recall(
            ("standing", organization.id, claims.subject),
            lambda connection: check_standing(connection, organization.id, claims.subject, self._clock),
        )
        if standing.subject is None or standing.problem is not None:
            return None
        subject, groups = standing.subject, standing.groups or frozenset()
        member = Member(subject.id, subject.store, standing.own_name, groups)
        held = await self._holdings(organization, member)
        return Principal(
            PrincipalKind.USER,
            subject.display(organization.name),
            organization.id,
            claims.subject,
            claims.client_id,
            held.permissions,
            claims.scope,
        )

    async def _holdings(self, organization: Organization, member: Member) -> Holdings:
        """What a member has; a write transaction only where a name is still to be tied to its subject."""
        held = await self._database.recall(
            ("holdings", organization.id, member),
            lambda connection: read_holdings(connection, organization.id, member),
        )
        if held.to_pin:
            held = await self._database.write(
                lambda connection: holdings_of(connection, organization.id, member)
            )
        return held

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
