"""What every grant is given, and what every grant asks inside its transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from ostiary.foundation import audit
from ostiary.oauth.clients import find_client
from ostiary.oauth.errors import InvalidClient, InvalidRequest, InvalidScope, UnauthorizedClient
from ostiary.oauth.model import (
    DEFAULT_SCOPE,
    Client,
    Scope,
    TokenClaims,
    grant_scope,
    narrow_scope,
    scope_text,
)
from ostiary.oauth.scopes import entitled_to
from ostiary.oauth.tokens.issuing import TokenResponse
from ostiary.organizations import Organization
from ostiary.permissions import SYSTEM, Member, asked_for


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """A token request whose client is authenticated and registered for its grant type."""

    grant_type: str
    client: Client
    organization: Organization
    parameters: Mapping[str, str]
    scope: Scope | None  # None: omitted

    def required(self, name: str) -> str:
        """A parameter the grant cannot do without.

        Raises:
            InvalidRequest: it is missing or empty (RFC 6749 §3.2).
        """
        value = self.parameters.get(name)
        if not value:
            raise InvalidRequest(f"the parameter {name} is missing")
        return value

    def require_confidential(self) -> None:
        """Refuse clients that anybody could pretend to be.

        Raises:
            UnauthorizedClient: the client is public.
        """
        if self.client.is_public:
            raise UnauthorizedClient("this grant is for confidential clients")


class Grant(Protocol):
    """Exchanges one kind of credential for tokens (RFC 6749 §1.3)."""

    async def exchange(self, request: GrantRequest) -> TokenResponse:
        """Issue tokens, or raise the `OAuthError` that says why not."""
        ...


def current_client(connection: Connection, request: GrantRequest) -> Client:
    """The client as it is in this transaction: after the epoch was read, so no narrowing is missed.

    Raises:
        InvalidClient: it was removed or disabled since it authenticated.
        UnauthorizedClient: it lost this grant type since.
    """
    client = find_client(connection, request.organization.id, request.client.client_id)
    if client is None or client.is_disabled:
        raise InvalidClient("client authentication failed", "removed or disabled meanwhile")
    if request.grant_type not in client.grant_types:
        raise UnauthorizedClient("this client is not registered for this grant type")
    return client


def decide_scope(
    connection: Connection,
    client: Client,
    requested: Scope | None,
    member: Member,
    bound: Scope | None = None,
) -> Scope:
    """What is granted now of what was requested (RFC 6749 §3.3), within `bound` where there is one (§6).

    Raises:
        InvalidScope: the client is marked `strict_scopes` and asked for what it may not have.
    """
    meant = None if requested is None else asked_for(requested)
    asked = meant if bound is None else narrow_scope(bound, meant)
    wanted = asked_for(client.default_scope) if asked is None else asked
    granted = grant_scope(asked, client, entitled_to(connection, client, wanted, member))
    refused = frozenset() if requested is None else requested - granted - {DEFAULT_SCOPE, SYSTEM}
    if refused and client.strict_scopes:
        raise InvalidScope(f"not available to this client or user: {scope_text(refused)}")
    return granted


def note_issue(connection: Connection, request: GrantRequest, claims: TokenClaims) -> None:
    """Note in the audit log that a user's access token is issued, in the transaction that issues it."""
    said = {
        "grant_type": request.grant_type,
        "client": claims.client_id,
        "token": claims.token_id,
        "scope": claims.scope,
        "store": claims.store,
        "username": audit.Personal(claims.subject, claims.display_name()),
    }
    here, subject = claims.organization.id, claims.subject
    audit.note(connection, here, "user", subject, {}, said, verb="token_issued", whose=subject)
