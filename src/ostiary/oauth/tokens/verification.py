"""Whether an access token is good now, whatever its format (RFC 7662 §2, RFC 9068 §4).

The gateway verifies JWTs itself from its plan; this is for introspection, for the guard of the
internal REST APIs, and for opaque tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection

from ostiary.foundation.secrets import SecretBox
from ostiary.oauth.model import TokenClaims, TokenHolder
from ostiary.oauth.repository import keys as key_repository
from ostiary.oauth.repository import tokens as repository
from ostiary.oauth.tokens.issuing import token_fingerprint
from ostiary.oauth.tokens.jwt import UnreadableJWT, key_id_of, read_jwt
from ostiary.organizations import EpochKind, Organization, by_id, latest_minimum

_LONGEST = 8_192
_Seconds = Annotated[int, Field(ge=0, lt=2**37)]


@dataclass(frozen=True, slots=True)
class JudgedToken:
    """An access token of ours with all that the database says of it; only the time is left to look at."""

    claims: TokenClaims
    stands: bool
    """Neither revoked nor narrowed since its issue."""

    def is_good(self, now: datetime) -> bool:
        """Whether it may be used now."""
        return self.stands and now < self.claims.expires_at


def judge_access_token(
    connection: Connection, box: SecretBox, token: str, public_url: str
) -> JudgedToken | None:
    """An access token of ours, whatever its format; None for every other text."""
    if not 0 < len(token) <= _LONGEST or not token.isascii():
        return None
    if token.count(".") == 2:
        claims = read_access_jwt(connection, token, public_url)
        return None if claims is None else judge(connection, claims)
    return judge_opaque(connection, token_fingerprint(box, token))


def introspect_opaque(connection: Connection, fingerprint: str, now: datetime) -> TokenClaims | None:
    """The claims of the opaque token with that fingerprint (`token_fingerprint`), while it is good."""
    judged = judge_opaque(connection, fingerprint)
    return judged.claims if judged is not None and judged.is_good(now) else None


def judge_opaque(connection: Connection, fingerprint: str) -> JudgedToken | None:
    """The opaque token with that fingerprint; None where there is none."""
    claims = repository.find_access(connection, fingerprint)
    return None if claims is None else judge(connection, claims)


def judge(connection: Connection, claims: TokenClaims) -> JudgedToken:
    """Whether a token with these claims was revoked, or narrowed since its issue."""
    family = None if claims.family is None else f"family:{claims.family}"
    is_revoked = repository.is_revoked(connection, f"token:{claims.token_id}", family)
    stands = not is_revoked and claims.epoch >= latest_minimum(
        connection, claims.organization.id, _concerned(claims)
    )
    return JudgedToken(claims, stands)


def read_access_jwt(connection: Connection, token: str, public_url: str) -> TokenClaims | None:
    """The claims of a JWT we have signed, good or over; None for every other text."""
    try:
        key = key_repository.find(connection, key_id_of(token))
        if key is None:
            return None
        wire = read_jwt(token, key.public_jwk)
        organization = by_id(connection, key.organization_id)
        claims = None if organization is None else _from_wire(wire, organization)
    except (UnreadableJWT, ValidationError):
        return None
    if claims is None:
        return None
    expected = claims.as_wire(public_url)
    return claims if all(wire.get(name) == expected[name] for name in ("iss", "aud", "org")) else None


class _WireClaims(BaseModel):
    """The claims we write, each of its type; our key alone does not make a payload an access token."""

    model_config = ConfigDict(strict=True, frozen=True)

    jti: str
    client_id: str
    aut: Literal["APPLICATION", "APPLICATION_USER"]
    sub: str
    scope: str
    iat: _Seconds
    exp: _Seconds
    epoch: int
    store: str | None = None
    username: str | None = None
    family: str | None = None


def _from_wire(wire: Mapping[str, Any], organization: Organization) -> TokenClaims:
    said = _WireClaims.model_validate(wire)
    return TokenClaims(
        token_id=said.jti,
        organization=organization,
        client_id=said.client_id,
        holder=TokenHolder(said.aut),
        subject=said.sub,
        scope=frozenset(said.scope.split(" ")),
        issued_at=datetime.fromtimestamp(said.iat, UTC),
        expires_at=datetime.fromtimestamp(said.exp, UTC),
        epoch=said.epoch,
        store=said.store,
        username=said.username,
        family=said.family,
    )


def _concerned(claims: TokenClaims) -> list[tuple[EpochKind, str]]:
    concerned: list[tuple[EpochKind, str]] = [
        ("client", claims.client_id),
        ("organization", claims.organization.id),
    ]
    if claims.holder is TokenHolder.APPLICATION_USER:
        concerned.append(("subject", claims.subject))
    return concerned + [("scope", value) for value in sorted(claims.scope)]
