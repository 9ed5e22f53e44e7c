"""Access tokens as the node reads them: JWTs are verified here (RFC 9068 §4, RFC 7519 §7.2).

Nothing in the token chooses how it is verified: the algorithm is the key's own, the key is looked up by
`kid` among the keys of the plan, and `jku`, `x5u`, `jwk` are never read (RFC 8725 §3.1, §3.10). Whether
the claims are enough for a call is decided in `authorize.py`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from ostiary.foundation.strict_json import read_json
from ostiary.gateway.plan import Key

ALGORITHM: Final = "ES256"
_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
_COMPACT_JWS: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z")
_OPAQUE: Final = re.compile(r"[A-Za-z0-9._~+/-]{16,1024}=*\Z")
_LONGEST: Final = 16_384
_PRIMARY: Final = "PRIMARY"


class InvalidToken(Exception):
    """The credential is no valid access token. The text is for the log, never for the caller."""


class UnknownKey(InvalidToken):
    """The token names a key this node does not know (yet)."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid access token says, whichever its form."""

    issuer: str
    audience: frozenset[str]
    subject: str
    client_id: str
    scopes: tuple[str, ...]
    expires_at: int
    not_before: int | None
    token_id: str
    family: str | None
    usertype: str
    """APPLICATION or APPLICATION_USER."""
    organization: str
    store: str | None
    username: str | None
    epoch: int
    kid: str | None
    """The key that signed it; `None` for an opaque token."""


def looks_like_a_jwt(credential: str) -> bool:
    """Whether the credential claims to be a JWT; such a one is never asked for at the control plane."""
    return credential.count(".") >= 2


def may_be_opaque(credential: str) -> bool:
    """Whether the credential could be an opaque token of ours, so that asking is worth it (RFC 6750 §2.1)."""
    return _OPAQUE.match(credential) is not None


def verify(credential: str, find_key: Callable[[str], Key | None]) -> Claims:
    """Verify a JWT access token's form and signature and read its claims. Times are not checked here.

    Raises:
        UnknownKey: `find_key` knows no key of that `kid`.
        InvalidToken: anything else is wrong with it.
    """
    header = _header(credential)
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise InvalidToken("no kid")
    key = find_key(kid)
    if key is None:
        raise UnknownKey("no such key")
    try:
        token = jws.deserialize_compact(credential, public_key(key), algorithms=[ALGORITHM])
        payload = read_json(token.payload)
    except (JoseError, ValueError, TypeError) as error:
        raise InvalidToken(f"signature or payload: {type(error).__name__}") from error
    return read_claims(payload, kid)


def read_claims(payload: Any, kid: str | None) -> Claims:
    """Read the claims of an access token (RFC 9068 §2.2 and ours).

    Raises:
        InvalidToken: one is missing or of the wrong type.
    """
    if not isinstance(payload, Mapping):
        raise InvalidToken("the payload is no object")
    one = _Claims(payload)
    return Claims(
        issuer=one.text("iss"),
        audience=one.audience(),
        subject=one.text("sub"),
        client_id=one.text("client_id"),
        scopes=tuple((one.text_or_none("scope") or "").split()),
        expires_at=one.time("exp"),
        not_before=one.time("nbf") if payload.get("nbf") is not None else None,
        token_id=one.text("jti"),
        family=one.text_or_none("family"),
        usertype=one.text("aut"),
        organization=one.text("org"),
        store=one.text_or_none("store"),
        username=one.text_or_none("username"),
        epoch=one.integer("epoch"),
        kid=kid,
    )


def public_key(key: Key) -> ECKey:
    """Return the key object of a plan's key.

    Raises:
        InvalidToken: it is not a P-256 key, so nothing can be verified by it.
    """
    jwk = key.jwk
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256" or jwk.get("alg", ALGORITHM) != ALGORITHM:
        raise InvalidToken("the key is not for this algorithm")
    return ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y") if name in jwk})


def end_user(claims: Claims) -> str | None:
    """Write the person as `[STORE/]name@organization`; `None` when the application acts for itself."""
    if claims.username is None:
        return None
    prefix = "" if claims.store in (None, _PRIMARY) else f"{claims.store}/"
    return f"{prefix}{claims.username}@{claims.organization}"


def _header(credential: str) -> Mapping[str, Any]:
    if len(credential) > _LONGEST or not _COMPACT_JWS.match(credential):
        raise InvalidToken("not a compact JWS")
    encoded = credential.partition(".")[0]
    try:
        header = read_json(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError, RecursionError) as error:  # a header nested too deep is no outage
        raise InvalidToken("the header is no JSON") from error
    if not isinstance(header, dict):
        raise InvalidToken("the header is no object")
    if str(header.get("typ")).lower() not in _TYPES:  # RFC 9068 §4: never an ID token or another JWT
        raise InvalidToken("typ is not at+jwt")
    if header.get("alg") != ALGORITHM:
        raise InvalidToken("alg is not allowed")
    if "crit" in header or "b64" in header:  # RFC 7515 §4.1.11: we understand no extension
        raise InvalidToken("crit is not understood")
    return header


class _Claims:
    def __init__(self, payload: Mapping[str, Any]) -> None:
        self._payload = payload

    def text(self, name: str) -> str:
        value = self._payload.get(name)
        if not isinstance(value, str) or not value:
            raise InvalidToken(f"{name} is missing")
        return value

    def text_or_none(self, name: str) -> str | None:
        value = self._payload.get(name)
        if value is not None and not isinstance(value, str):
            raise InvalidToken(f"{name} is no text")
        return value

    def integer(self, name: str) -> int:
        value = self._payload.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidToken(f"{name} is no integer")
        return value

    def time(self, name: str) -> int:
        value = self._payload.get(name)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return self.integer(name)

    def audience(self) -> frozenset[str]:
        value = self._payload.get("aud")
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise InvalidToken("aud is missing")
        return frozenset(values)
