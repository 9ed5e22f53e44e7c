"""Issue access tokens and families of refresh tokens (RFC 6749 §5.1, RFC 9068 §2).

A token comes about in two steps: rows and claims inside the grant's transaction, the signature
outside of it. Successors of a refresh token are a keyed hash of the token presented, so a repeated
request finds the same ones although only fingerprints are kept (RFC 9700 §4.14.2).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from ostiary.foundation.identifiers import new_id
from ostiary.foundation.secrets import SecretBox, random_token
from ostiary.identity import Subject
from ostiary.oauth.keys import Keys, ReadyKey
from ostiary.oauth.model import Client, Scope, TokenClaims, TokenFormat, TokenHolder, scope_text
from ostiary.oauth.repository import tokens as repository
from ostiary.oauth.repository.keys import SigningKey
from ostiary.oauth.repository.tokens import AccessRecord, RefreshRecord, TokenFamily
from ostiary.oauth.settings import TokenSettings
from ostiary.organizations import Organization


@dataclass(frozen=True, slots=True)
class Issued:
    """What a transaction has decided and written. Exactly one of `signing_key` and `opaque` is there."""

    claims: TokenClaims
    signing_key: SigningKey | None
    opaque: str | None
    refresh_token: str | None = None


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """The successful answer of the token endpoint (RFC 6749 §5.1)."""

    access_token: str
    expires_in: timedelta
    scope: Scope
    refresh_token: str | None

    def as_wire(self) -> dict[str, Any]:
        """The JSON object; `scope` is always said."""
        body: dict[str, Any] = {
            "access_token": self.access_token,
            "token_type": "Bearer",
            "expires_in": self.expires_in // timedelta(seconds=1),
            "scope": scope_text(self.scope),
        }
        return body if self.refresh_token is None else body | {"refresh_token": self.refresh_token}


def token_fingerprint(box: SecretBox, token: str) -> str:
    """What is kept of an opaque access token."""
    return box.fingerprint(token, "access_tokens:token")


def refresh_fingerprint(box: SecretBox, token: str) -> str:
    """What is kept of a refresh token."""
    return box.fingerprint(token, "refresh_tokens:token")


class TokenIssuer:
    """Issues tokens in the formats of their clients."""

    def __init__(self, box: SecretBox, keys: Keys, settings: TokenSettings, public_url: str) -> None:
        self._box = box
        self._keys = keys
        self._settings = settings
        self._public_url = public_url

    def access_lifetime(self, client: Client) -> timedelta:
        """How long the client's access tokens live when it does not say."""
        return client.access_token_lifetime or self._settings.access_token_lifetime

    def refresh_lifetime(self, client: Client) -> timedelta:
        """How long each of the client's refresh tokens lives."""
        return client.refresh_token_lifetime or self._settings.refresh_token_lifetime

    def ready_key(self, connection: Connection, client: Client, now: datetime) -> ReadyKey | None:
        """The key for the client's JWTs; None where something must be written before a token is issued."""
        if client.token_format is not TokenFormat.JWT:
            return None
        return self._keys.ready_key(connection, client.organization_id, now)

    def without_writing(self, ready: ReadyKey | None, claims: TokenClaims) -> Issued | None:
        """Issue a JWT that needs no row; None where something must be written first."""
        now = claims.issued_at
        if ready is None or not self._keys.lasts_until(ready.key, claims.expires_at, now):
            return None
        return Issued(claims, ready.key, None)

    def access_token(
        self, connection: Connection, client: Client, claims: TokenClaims, opaque: str | None = None
    ) -> Issued:
        """Issue an access token; an opaque one has the value `opaque` or a random one."""
        if client.token_format is TokenFormat.OPAQUE:
            value = opaque or random_token()
            repository.add_access(connection, token_fingerprint(self._box, value), claims)
            return Issued(claims, None, value)
        key = self._keys.signing_key(connection, claims.organization.id, claims.issued_at)
        self._keys.keep_until(connection, key, claims.expires_at, claims.issued_at)
        return Issued(claims, key, None)

    def first_of_family(
        self,
        connection: Connection,
        client: Client,
        claims: TokenClaims,
        subject: Subject,
        groups: frozenset[str],
    ) -> Issued:
        """Begin a family: an access token with the refresh token that goes with it."""
        now = claims.issued_at
        refresh_until = now + self.refresh_lifetime(client)
        family = TokenFamily(
            id=claims.family or new_id(),
            organization_id=claims.organization.id,
            client_id=client.client_id,
            subject_id=subject.id,
            store=subject.store,
            username=subject.username,
            groups=groups,
            scope=claims.scope,
            password_checked_at=now,
            access_until=claims.expires_at,
            refresh_until=refresh_until,
        )
        repository.add_family(connection, family)
        issued = self.access_token(connection, client, claims)
        return self._with_refresh(connection, issued, random_token(), family.id, refresh_until)

    def successor(
        self, connection: Connection, client: Client, claims: TokenClaims, family: TokenFamily, consumed: str
    ) -> Issued:
        """Issue the pair that follows the refresh token `consumed`, whose family the caller has locked."""
        issued = self.access_token(connection, client, claims, self._successor_access(consumed))
        refresh_until = claims.issued_at + self.refresh_lifetime(client)
        return self._with_refresh(connection, issued, self.successor_of(consumed), family.id, refresh_until)

    def same_successor(
        self, connection: Connection, client: Client, claims: TokenClaims, consumed: str
    ) -> Issued:
        """The pair that `successor` issued for `consumed`, once more. Writes no token."""
        refresh_token = self.successor_of(consumed)
        if client.token_format is TokenFormat.OPAQUE:
            return Issued(claims, None, self._successor_access(consumed), refresh_token)
        key = self._keys.signing_key(connection, claims.organization.id, claims.issued_at)
        return Issued(claims, key, None, refresh_token)

    def successor_of(self, refresh_token: str) -> str:
        """The one refresh token that can follow this one."""
        return self._box.fingerprint(refresh_token, "refresh_tokens:successor")

    def response(self, issued: Issued, now: datetime) -> TokenResponse:
        """Sign what was issued. Not for a transaction: signing takes time and no row."""
        if issued.signing_key is None:
            access_token = issued.opaque or ""
        else:
            access_token = self._keys.sign(issued.signing_key, issued.claims.as_wire(self._public_url))
        return TokenResponse(
            access_token, issued.claims.expires_at - now, issued.claims.scope, issued.refresh_token
        )

    def _with_refresh(
        self, connection: Connection, issued: Issued, value: str, family_id: str, expires_at: datetime
    ) -> Issued:
        claims = issued.claims
        record = RefreshRecord(
            fingerprint=refresh_fingerprint(self._box, value),
            organization_id=claims.organization.id,
            family_id=family_id,
            expires_at=expires_at,
            consumed_at=None,
            access=AccessRecord(
                claims.token_id, claims.scope, claims.epoch, claims.issued_at, claims.expires_at
            ),
        )
        repository.add_refresh(connection, record)
        return Issued(claims, issued.signing_key, issued.opaque, value)

    def _successor_access(self, refresh_token: str) -> str:
        return self._box.fingerprint(refresh_token, "access_tokens:successor")


def claims_for_client(
    organization: Organization, client: Client, scope: Scope, epoch: int, now: datetime, lifetime: timedelta
) -> TokenClaims:
    """What a client's own access token says (RFC 9068 §2.2: `sub` is the client)."""
    return TokenClaims(
        token_id=new_id(),
        organization=organization,
        client_id=client.client_id,
        holder=TokenHolder.APPLICATION,
        subject=client.client_id,
        scope=scope,
        issued_at=now,
        expires_at=now + lifetime,
        epoch=epoch,
    )


def claims_for_user(
    organization: Organization,
    client: Client,
    subject: Subject,
    access: AccessRecord,
    family_id: str | None,
) -> TokenClaims:
    """What an access token says that a client got for a user."""
    return TokenClaims(
        token_id=access.token_id,
        organization=organization,
        client_id=client.client_id,
        holder=TokenHolder.APPLICATION_USER,
        subject=subject.id,
        scope=access.scope,
        issued_at=access.issued_at,
        expires_at=access.expires_at,
        epoch=access.epoch,
        store=subject.store,
        username=subject.username,
        family=family_id,
    )
