"""Grants: what can be exchanged for tokens (RFC 6749 §1.3). One file each; the table is the registry.

A new grant is a file here, a row in `GRANTS` and a value of `model.GrantType`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.secrets import SecretBox
from ostiary.identity import Assertions, Authentication
from ostiary.oauth.grants.client_credentials import ClientCredentialsGrant
from ostiary.oauth.grants.password import PasswordGrant
from ostiary.oauth.grants.refresh_token import RefreshTokenGrant
from ostiary.oauth.grants.request import Grant, GrantRequest
from ostiary.oauth.grants.saml2_bearer import SAML2BearerGrant
from ostiary.oauth.model import GrantType
from ostiary.oauth.settings import TokenSettings
from ostiary.oauth.tokens.issuing import TokenIssuer

__all__ = ["GRANTS", "Grant", "GrantParts", "GrantRequest"]


@dataclass(frozen=True, slots=True)
class GrantParts:
    """What grants are made of; each takes what it uses."""

    database: Database
    box: SecretBox
    issuer: TokenIssuer
    authentication: Authentication
    assertions: Assertions
    public_url: str
    settings: TokenSettings
    clock: Clock


GRANTS: Mapping[str, Callable[[GrantParts], Grant]] = {
    GrantType.PASSWORD: lambda parts: PasswordGrant(parts.issuer, parts.authentication, parts.clock),
    GrantType.CLIENT_CREDENTIALS: lambda parts: ClientCredentialsGrant(
        parts.database, parts.issuer, parts.settings, parts.clock
    ),
    GrantType.REFRESH_TOKEN: lambda parts: RefreshTokenGrant(
        parts.database,
        parts.box,
        parts.issuer,
        parts.authentication.look_ups,
        parts.settings,
        parts.clock,
    ),
    GrantType.SAML2_BEARER: lambda parts: SAML2BearerGrant(
        parts.issuer, parts.assertions, parts.public_url, parts.clock
    ),
}
