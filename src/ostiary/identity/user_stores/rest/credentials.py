"""How a login service knows us: headers that each request carries."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from ostiary.foundation.secrets import random_token
from ostiary.identity.user_stores.rest.settings import Auth, SignedToken

Headers = Mapping[str, str]
Credentials = Callable[[str, str, bytes], Headers]
"""Method, address and body of a request → headers."""

_TOKEN_LIVES: Final = 60
_TOKEN_KEPT: Final = 30.0


class NoSecret(Exception):
    """What proves who we are was cleared and is not set again, or is no key."""


def credentials(auth: Auth | None) -> Credentials:
    """The headers for these settings.

    Raises:
        NoSecret: the secret is missing or unusable.
    """
    if auth is None:
        return lambda *_: {}
    if auth.basic is not None:
        value = basic(auth.basic.username, _secret(auth.basic.password))
        return lambda *_: {"Authorization": value}
    if auth.bearer is not None:
        value = f"Bearer {_secret(auth.bearer.token)}"
        return lambda *_: {"Authorization": value}
    if auth.signed_token is not None:
        return _Tokens(auth.signed_token).headers
    if auth.signature is not None:
        return _signing(auth.signature.key_id, _secret(auth.signature.secret).encode())
    raise NoSecret


def basic(username: str, password: str) -> str:
    """HTTP Basic credentials (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def _secret(value: object) -> str:
    found: str = getattr(value, "get_secret_value", str)()
    if not found:
        raise NoSecret
    return found


class _Tokens:
    """Signs a token, and again when it is half a minute old."""

    def __init__(self, settings: SignedToken) -> None:
        pem = _secret(settings.key)
        try:
            self._key: ECKey | RSAKey = ECKey.import_key(pem)
            self._algorithm = "ES256"
        except ValueError:
            try:
                self._key, self._algorithm = RSAKey.import_key(pem), "RS256"
            except ValueError as error:
                raise NoSecret from error
        self._settings = settings
        self._made, self._token = float("-inf"), ""

    def headers(self, _method: str, _url: str, _body: bytes) -> Headers:
        if time.monotonic() - self._made > _TOKEN_KEPT:
            self._made, self._token = time.monotonic(), self._signed(int(time.time()))
        return {"Authorization": f"Bearer {self._token}"}

    def _signed(self, now: int) -> str:
        settings = self._settings
        header = {"typ": "JWT", "alg": self._algorithm, "kid": settings.key_id}
        claims = {"iss": settings.issuer, "aud": settings.audience, "iat": now, "exp": now + _TOKEN_LIVES}
        claims["jti"] = random_token(16)
        return jwt.encode(
            {k: v for k, v in header.items() if v},
            {k: v for k, v in claims.items() if v},
            self._key,
            algorithms=[self._algorithm],
        )


def _signing(key_id: str, secret: bytes) -> Credentials:
    """HTTP message signatures (RFC 9421 §3.3.3): method, address and, with a body, its digest (RFC 9530)."""
    quoted = key_id.replace("\\", "\\\\").replace('"', '\\"')

    def headers(method: str, url: str, body: bytes) -> Headers:
        digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
        parts = {"@method": method, "@target-uri": _normal(url), "content-digest": digest}
        names = " ".join(f'"{name}"' for name in parts)
        parameters = f'({names});created={int(time.time())};keyid="{quoted}";alg="hmac-sha256"'
        lines = [f'"{name}": {value}' for name, value in parts.items()]
        base = "\n".join([*lines, f'"@signature-params": {parameters}'])
        made = base64.b64encode(hmac.digest(secret, base.encode(), "sha256")).decode()
        return {
            "Content-Digest": digest,
            "Signature-Input": f"ostiary={parameters}",
            "Signature": f"ostiary=:{made}:",
        }

    return headers


def _normal(url: str) -> str:
    """The address as the service sees it: an empty path is "/"."""
    parts = urlsplit(url)
    return parts._replace(path=parts.path or "/").geturl()
