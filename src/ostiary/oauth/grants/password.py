"""The resource owner password credentials grant (RFC 6749 §4.3).

RFC 9700 §2.4 forbids it, and users who live in somebody's login service cannot do without it: so it
is off unless a client is registered for it, and never for public clients. Who the user is and
whether the password is right is identity's to say; every refusal reads the same.
"""

from dataclasses import dataclass

from pydantic import SecretStr

from ostiary.foundation.clock import Clock
from ostiary.identity import (
    Authentication,
    LoginRefused,
    LoginUnavailable,
)
from ostiary.oauth.errors import InvalidGrant, TemporarilyUnavailable
from ostiary.oauth.grants.request import GrantRequest
from ostiary.oauth.grants.to_users import NotAsked, issuing
from ostiary.oauth.tokens.issuing import Issued, TokenIssuer, TokenResponse

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
        request.require_confidential()
        issued = await self._log_in(request)
        return self.issuer.response(issued, issued.claims.issued_at)

    async def _log_in(self, request: GrantRequest) -> Issued:
        """The login and its tokens are one transaction: who is admitted in it may have them."""
        username = request.required("username")
        password = SecretStr(request.required("password"))

        try:
            return await self.authentication.log_in(
                request.organization,
                username,
                password,
                request.client.client_id,
                issuing(self.issuer, request, self.clock),
                user_stores=request.client.user_stores,
            )
        except NotAsked as refusal:
            raise InvalidGrant(_REFUSED, str(refusal)) from refusal
        except LoginRefused as refusal:
            raise InvalidGrant(_REFUSED, refusal.reason) from refusal
        except LoginUnavailable as outage:
            raise TemporarilyUnavailable(
                "the user cannot be checked at the moment; try again later", outage.retry_after
            ) from outage
