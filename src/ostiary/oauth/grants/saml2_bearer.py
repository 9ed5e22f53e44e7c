"""The SAML 2.0 bearer assertion as a grant (RFC 7522 §2.1, RFC 7521 §4.1).

An application whose users log in at an identity provider exchanges the provider's word for an access token.
The token lives as long as the assertion would be taken, at most. A client that is registered for refresh
tokens gets one: what it gives ends as for every user of a store that cannot be asked again
(`tokens.reauthenticate_after`).
"""

from dataclasses import dataclass

from ostiary.foundation.clock import Clock
from ostiary.identity import AssertionRefused, Assertions, Expected, LoginUnavailable
from ostiary.oauth.errors import InvalidGrant, TemporarilyUnavailable
from ostiary.oauth.grants.request import GrantRequest
from ostiary.oauth.grants.to_users import NotAsked, issuing
from ostiary.oauth.tokens.issuing import Issued, TokenIssuer, TokenResponse
from ostiary.organizations import issuer_of


@dataclass(frozen=True, slots=True)
class SAML2BearerGrant:
    """Exchange an identity provider's assertion about a user for tokens."""

    issuer: TokenIssuer
    assertions: Assertions
    public_url: str
    clock: Clock

    async def exchange(self, request: GrantRequest) -> TokenResponse:
        """Issue an access token for the user and, to a client registered for it, a refresh token.

        Raises:
            UnauthorizedClient: the client is public.
            InvalidRequest: `assertion` is missing.
            InvalidGrant: the assertion is not good; says what was expected (RFC 7522 §3.1).
            TemporarilyUnavailable: the identity provider's settings have just changed.
            InvalidScope: a strict client asked for what this user may not have.
        """
        request.require_confidential()
        issued = await self._redeem(request)
        return self.issuer.response(issued, issued.claims.issued_at)

    async def _redeem(self, request: GrantRequest) -> Issued:
        assertion = request.required("assertion")
        url = issuer_of(self.public_url, request.organization)
        here = frozenset({f"{url}/oauth2/token", f"{url}/token"})
        try:
            return await self.assertions.redeem(
                request.organization,
                assertion,
                Expected(here | {url}, here),
                request.client.asks,
                issuing(self.issuer, request, self.clock),
            )
        except AssertionRefused as refusal:
            raise InvalidGrant(str(refusal), refusal.reason) from refusal
        except NotAsked as refusal:
            raise InvalidGrant("this client does not take users of that identity provider") from refusal
        except LoginUnavailable as outage:
            raise TemporarilyUnavailable(
                "the identity provider has just been changed; try again", outage.retry_after
            ) from outage
