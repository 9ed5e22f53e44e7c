"""Signed JWTs in compact form (RFC 7515 §3.1, RFC 7519), ES256 only (RFC 7518 §3.4).

Signatures are deterministic (RFC 6979), so that the answer to a repeated refresh is the same to
the last byte; joserfc, which verifies, cannot sign so. The algorithm is ours to say, never the
token's (RFC 8725 §3.1).
"""

import base64
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

ALGORITHM = "ES256"
ACCESS_TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})  # RFC 9068 §4
_COORDINATE_BYTES = 32
_LONGEST = 8_192
_ECDSA = ec.ECDSA(SHA256(), deterministic_signing=True)


class UnreadableJWT(Exception):
    """Not a JWT of the form, type, algorithm and key that were expected."""


def sign_jwt(key: ec.EllipticCurvePrivateKey, header: Mapping[str, str], claims: Mapping[str, Any]) -> str:
    """Sign `claims`; the same input gives the same token."""
    signed = _encode(orjson.dumps(header)) + b"." + _encode(orjson.dumps(claims))
    r, s = decode_dss_signature(key.sign(signed, _ECDSA))
    signature = r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")
    return (signed + b"." + _encode(signature)).decode()


def key_id_of(token: str) -> str:
    """The `kid` that a JWT names, not yet believed.

    Raises:
        UnreadableJWT: its header is not that of a signed access token.
    """
    if len(token) > _LONGEST:
        raise UnreadableJWT("longer than any token of ours")
    return _key_id_in(token.partition(".")[0])


@lru_cache(256)
def _key_id_in(encoded_header: str) -> str:
    """All tokens that were signed with a key have the same header."""
    try:
        header = jws.extract_compact(f"{encoded_header}..".encode("ascii")).headers()
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise UnreadableJWT("not a compact JWS") from error
    kind, kid = header.get("typ"), header.get("kid")
    if not isinstance(kind, str) or kind.lower() not in ACCESS_TOKEN_TYPES or header.get("alg") != ALGORITHM:
        raise UnreadableJWT("of another type or algorithm than our access tokens")
    if not isinstance(kid, str) or len(kid) > 64 or not kid.isascii() or not kid.isprintable():
        raise UnreadableJWT("names no key")
    return kid


def read_jwt(token: str, public_jwk: Mapping[str, str]) -> dict[str, Any]:
    """The claims of a JWT signed with this key; what they say is the caller's to judge.

    Raises:
        UnreadableJWT: the signature is not this key's, or the payload is no JSON object.
    """
    try:
        claims = orjson.loads(_signed_payload(token, public_jwk["x"], public_jwk["y"]))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise UnreadableJWT("not signed with this key") from error
    if not isinstance(claims, dict):
        raise UnreadableJWT("the payload is not a JSON object")
    return claims


@lru_cache(1_024)
def _signed_payload(token: str, x: str, y: str) -> bytes:
    """What this key has signed, which stays true; whether the key is still ours is asked every time."""
    return jws.deserialize_compact(token.encode("ascii"), _public_key(x, y), algorithms=[ALGORITHM]).payload


@lru_cache(256)
def _public_key(x: str, y: str) -> ECKey:
    """Importing a key costs more than verifying with it."""
    return ECKey.import_key({"kty": "EC", "crv": "P-256", "x": x, "y": y})


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
