"""The resource owner password credentials grant (RFC 6749 §4.3).

RFC 9700 §2.4 forbids it, and users who live in somebody's login service cannot do without it: so it
is off unless a client is registered for it, and never for public clients. Who the user is and
whether the password is right is identity's to say; every refusal reads the same.
"""

from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.identifiers import new_id
from ostiary.identity import (
    AuthenticatedUser,
    Authentication,
    LoginRefused,
    LoginUnavailable,
    check_standing,
)
from ostiary.oauth.errors import InvalidGrant, TemporarilyUnavailable, UnauthorizedClient
from ostiary.oauth.grants.request import GrantRequest, current_client, decide_scope
from ostiary.oauth.model import GrantType
from ostiary.oauth.repository.tokens import AccessRecord
from ostiary.oauth.tokens.issuing import Issued, TokenIssuer, TokenResponse, claims_for_user
from ostiary.organizations import current_epoch
from ostiary.permissions import Member

_REFUSED = "the user name or password is not right"


@dataclass(frozen=True, slots=True)
class PasswordGrant:
    """Exchange a user's name and password for tokens."""

    database: Database
    issuer: TokenIssuer
    authentication: Authentication
    clock: Clock

    async def exchange(self, request: GrantRequest) -> TokenResponse:
        """Issue an access token for the user and, to a client registered for it, a refresh token.

        Raises:
            UnauthorizedClient: the client is public.
            InvalidRequest: `username` or `password` is missing.
            InvalidGrant: refused, for whatever reason (§5.2).
            TemporarilyUnavailable: nobody can say now; never counted against the user.
            InvalidScope: a strict client asked for what this user may not have.
        """
        if request.client.is_public:
            raise UnauthorizedClient("this grant is for confidential clients")
        user = await self._authenticate(request)
        issued = await self.database.write(lambda connection: self._issue(connection, request, user))
        return self.issuer.response(issued, issued.claims.issued_at)

    async def _authenticate(self, request: GrantRequest) -> AuthenticatedUser:
        username = request.required("username")
        password = SecretStr(request.required("password"))
        try:
            return await self.authentication.authenticate(
                request.organization, username, password, request.client.client_id
            )
        except LoginRefused as refusal:
            raise InvalidGrant(_REFUSED, refusal.reason) from refusal
        except LoginUnavailable as outage:
            raise TemporarilyUnavailable(
                "the user cannot be checked at the moment; try again later", outage.retry_after
            ) from outage

    def _issue(self, connection: Connection, request: GrantRequest, user: AuthenticatedUser) -> Issued:
        organization, subject = request.organization, user.subject
        epoch = current_epoch(connection, organization.id)  # first: a race then over-refuses
        client = current_client(connection, request)
        if not check_standing(connection, organization.id, subject.id, self.clock).may_continue:
            raise InvalidGrant(_REFUSED, "disabled or removed while logging in")
        member = Member(subject.id, subject.store, subject.username, user.groups)
        scope = decide_scope(connection, client, request.scope, member)
        now = self.clock()
        access = AccessRecord(new_id(), scope, epoch, now, now + self.issuer.access_lifetime(client))
        if GrantType.REFRESH_TOKEN not in client.grant_types:
            claims = claims_for_user(organization, client, subject, access, family_id=None)
            return self.issuer.access_token(connection, client, claims)
        claims = claims_for_user(organization, client, subject, access, family_id=new_id())
        return self.issuer.first_of_family(connection, client, claims, subject, user.groups)
