"""The client credentials grant (RFC 6749 §4.4).

The client acts for itself: there is no resource owner, so the response carries
no refresh token (§4.4.3).
"""

import re
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.oauth.errors import InvalidRequest, UnauthorizedClient
from ostiary.oauth.grants.request import GrantRequest, current_client, decide_scope
from ostiary.oauth.model import Client, TokenClaims, Validity
from ostiary.oauth.settings import TokenSettings
from ostiary.oauth.tokens.issuing import Issued, TokenIssuer, TokenResponse, claims_for_client
from ostiary.organizations import current_epoch
from ostiary.permissions import Member

_WHOLE_SECONDS = re.compile(r"-?[0-9]{1,10}")
_NEVER = "-1"


@dataclass(frozen=True, slots=True)
class ClientCredentialsGrant:
    """Exchange a client's own credentials for an access token."""

    database: Database
    issuer: TokenIssuer
    settings: TokenSettings
    clock: Clock

    async def exchange(self, request: GrantRequest) -> TokenResponse:
        """Issue an access token whose subject is the client itself.

        A JWT usually needs no row; only where one is due (an opaque token, a key to promote) is
        there a write transaction.

        Raises:
            UnauthorizedClient: the client is public; §4.4 admits only confidential clients.
            InvalidRequest: `validity_period` is not one this client may choose.
            InvalidScope: a strict client asked for what it may not have.
        """
        if request.client.is_public:
            raise UnauthorizedClient("this grant is for confidential clients")
        issued = await self.database.read(lambda connection: self._without_writing(connection, request))
        if issued is None:
            issued = await self.database.write(lambda connection: self._issue(connection, request))
        return self.issuer.response(issued, issued.claims.issued_at)

    def _without_writing(self, connection: Connection, request: GrantRequest) -> Issued | None:
        client, claims = self._decide(connection, request)
        return self.issuer.without_writing(connection, client, claims)

    def _issue(self, connection: Connection, request: GrantRequest) -> Issued:
        client, claims = self._decide(connection, request)
        return self.issuer.access_token(connection, client, claims)

    def _decide(self, connection: Connection, request: GrantRequest) -> tuple[Client, TokenClaims]:
        organization = request.organization
        epoch = current_epoch(connection, organization.id)  # first: a race then over-refuses
        client = current_client(connection, request)
        scope = decide_scope(connection, client, request.scope, Member(client_id=client.client_id))
        lifetime = self._lifetime(client, request.parameters.get("validity_period"))
        return client, claims_for_client(organization, client, scope, epoch, self.clock(), lifetime)

    def _lifetime(self, client: Client, wanted: str | None) -> timedelta:
        if wanted is None:
            return self.issuer.access_lifetime(client)
        if client.validity is Validity.FIXED:
            raise InvalidRequest("this client may not choose a validity_period")
        bounds = (self.settings.validity_period_max, self.settings.unlimited_lifetime)
        longest = bounds[client.validity is Validity.UNLIMITED]
        if wanted == _NEVER and client.validity is Validity.UNLIMITED:
            return longest
        seconds = int(wanted) if _WHOLE_SECONDS.fullmatch(wanted) else 0
        most = longest // timedelta(seconds=1)
        if not 1 <= seconds <= most:
            raise InvalidRequest(f"validity_period must be a whole number of seconds from 1 to {most}")
        return timedelta(seconds=seconds)
