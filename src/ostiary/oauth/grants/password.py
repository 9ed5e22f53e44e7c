"""The resource owner password credentials grant (RFC 6749 §4.3).

RFC 9700 §2.4 forbids it, and users who live in somebody's login service cannot do without it: so it
is off unless a client is registered for it, and never for public clients. Who the user is and
whether the password is right is identity's to say; every refusal reads the same.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.foundation.identifiers import new_id
from ostiary.identity import (
    AuthenticatedUser,
    Authentication,
    LoginRefused,
    LoginUnavailable,
)
from ostiary.oauth.errors import InvalidGrant, TemporarilyUnavailable, UnauthorizedClient
from ostiary.oauth.grants.request import GrantRequest, current_client, decide_scope, note_issue
from ostiary.oauth.model import GrantType
from ostiary.oauth.repository.tokens import AccessRecord
from ostiary.oauth.tokens.issuing import Issued, TokenIssuer, TokenResponse, claims_for_user
from ostiary.organizations import current_epoch
from ostiary.permissions import Member

_REFUSED = "the user name or password is not right"


@dataclass(frozen=True, slots=True)
class PasswordGrant:
    """Exchange a user's name and password for tokens."""

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
        issued = await self._log_in(request)
        return self.issuer.response(issued, issued.claims.issued_at)

    async def _log_in(self, request: GrantRequest) -> Issued:
        """The login and its tokens are one transaction: who is admitted in it may have them."""
        username = request.required("username")
        password = SecretStr(request.required("password"))

        def begin(connection: Connection) -> Callable[[AuthenticatedUser], Issued]:
            epoch = current_epoch(connection, request.organization.id)  # first: a race then over-refuses
            return lambda user: self._issue(connection, request, user, epoch)

        try:
            return await self.authentication.log_in(
                request.organization,
                username,
                password,
                request.client.client_id,
                begin,
                user_stores=request.client.user_stores,
            )
        except LoginRefused as refusal:
            raise InvalidGrant(_REFUSED, refusal.reason) from refusal
        except LoginUnavailable as outage:
            raise TemporarilyUnavailable(
                "the user cannot be checked at the moment; try again later", outage.retry_after
            ) from outage

    def _issue(
        self, connection: Connection, request: GrantRequest, user: AuthenticatedUser, epoch: int
    ) -> Issued:
        organization, subject = request.organization, user.subject
        client = current_client(connection, request)
        if not client.asks(subject.store):
            raise InvalidGrant(_REFUSED, f"the client has just stopped asking {subject.store}")
        member = Member(subject.id, subject.store, subject.username, user.groups)
        scope = decide_scope(connection, client, request.scope, member)
        now = self.clock()
        access = AccessRecord(new_id(), scope, epoch, now, now + self.issuer.access_lifetime(client))
        if GrantType.REFRESH_TOKEN not in client.grant_types:
            claims = claims_for_user(organization, client, subject, access, family_id=None)
            note_issue(connection, request, claims)
            return self.issuer.access_token(connection, client, claims)
        claims = claims_for_user(organization, client, subject, access, family_id=new_id())
        note_issue(connection, request, claims)
        return self.issuer.first_of_family(connection, client, claims, subject, user.groups)
