"""The client credentials grant (RFC 6749 §4.4).

The client acts for itself: there is no resource owner, so the response carries
no refresh token (§4.4.3).
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.oauth.errors import InvalidRequest
from ostiary.oauth.grants.request import GrantRequest, current_client, decide_scope
from ostiary.oauth.keys import ReadyKey
from ostiary.oauth.model import Client, Scope, TokenClaims, Validity
from ostiary.oauth.settings import TokenSettings
from ostiary.oauth.tokens.issuing import Issued, TokenIssuer, TokenResponse, claims_for_client
from ostiary.organizations import current_epoch
from ostiary.permissions import Member

_WHOLE_SECONDS = re.compile(r"-?[0-9]{1,10}")
_NEVER = "-1"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a token of a client rests on in the database."""

    client: Client
    epoch: int
    scope: Scope
    key: ReadyKey | None

    def holds_at(self, now: datetime) -> bool:
        """Whether time alone has changed nothing of it."""
        return self.key is None or self.key.until is None or now < self.key.until


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
        request.require_confidential()
        facts = await self.database.recall(
            ("client credentials", request.organization.id, request.client.client_id, request.scope),
            lambda connection: self._facts(connection, request),
            fits=lambda known: known.holds_at(self.clock()),
        )
        issued = self.issuer.without_writing(facts.key, self._claims(facts, request))
        if issued is None:
            issued = await self.database.write(
                lambda connection: self._issue(connection, request), brief=True
            )
        return self.issuer.response(issued, issued.claims.issued_at)

    def _issue(self, connection: Connection, request: GrantRequest) -> Issued:
        facts = self._facts(connection, request)
        return self.issuer.access_token(connection, facts.client, self._claims(facts, request))

    def _facts(self, connection: Connection, request: GrantRequest) -> Facts:
        epoch = current_epoch(connection, request.organization.id)  # first: a race then over-refuses
        client = current_client(connection, request)
        scope = decide_scope(connection, client, request.scope, Member(client_id=client.client_id))
        return Facts(client, epoch, scope, self.issuer.ready_key(connection, client, self.clock()))

    def _claims(self, facts: Facts, request: GrantRequest) -> TokenClaims:
        lifetime = self._lifetime(facts.client, request.parameters.get("validity_period"))
        return claims_for_client(
            request.organization, facts.client, facts.scope, facts.epoch, self.clock(), lifetime
        )

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
