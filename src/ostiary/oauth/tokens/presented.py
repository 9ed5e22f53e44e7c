"""What somebody presents as a token, recognized (RFC 7009 §2.1, RFC 7662 §2.1).

`token_type_hint` is not needed: the forms are told apart by themselves, and a wrong hint
must not hide a token.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from ostiary.foundation.secrets import SecretBox
from ostiary.oauth.model import TokenClaims
from ostiary.oauth.repository import tokens as repository
from ostiary.oauth.repository.tokens import RefreshRecord, TokenFamily
from ostiary.oauth.tokens.issuing import refresh_fingerprint, token_fingerprint
from ostiary.oauth.tokens.revocation import revoke_family, revoke_token
from ostiary.oauth.tokens.verification import read_access_jwt

_LONGEST = 8_192


@dataclass(frozen=True, slots=True)
class PresentedRefreshToken:
    """A refresh token of ours with its family; whether it is still good, its rows say."""

    token: RefreshRecord
    family: TokenFamily

    def is_good(self, now: datetime) -> bool:
        """Whether it could be redeemed now."""
        return (
            self.token.consumed_at is None and self.family.revoked_at is None and now < self.token.expires_at
        )


def recognize(
    connection: Connection, box: SecretBox, token: str, public_url: str
) -> TokenClaims | PresentedRefreshToken | None:
    """The token of ours that this text is, good or over; None for every other text."""
    if not 0 < len(token) <= _LONGEST or not token.isascii():
        return None
    if token.count(".") == 2:
        return read_access_jwt(connection, token, public_url)
    refresh = repository.find_refresh(connection, refresh_fingerprint(box, token))
    if refresh is None:
        return repository.find_access(connection, token_fingerprint(box, token))
    family = repository.find_family(connection, refresh.organization_id, refresh.family_id)
    return None if family is None else PresentedRefreshToken(refresh, family)


def belongs_to(found: TokenClaims | PresentedRefreshToken, organization_id: str, client_id: str) -> bool:
    """Whether that client got this token."""
    if isinstance(found, PresentedRefreshToken):
        return (found.family.organization_id, found.family.client_id) == (organization_id, client_id)
    return (found.organization.id, found.client_id) == (organization_id, client_id)


def revoke(connection: Connection, found: TokenClaims | PresentedRefreshToken, now: datetime) -> None:
    """Revoke the token and everything that came with it. Repeating it changes nothing."""
    if isinstance(found, PresentedRefreshToken):
        revoke_family(connection, found.family.organization_id, found.family.id, now)
    else:
        revoke_token(connection, found, now)
