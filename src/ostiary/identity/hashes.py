"""Password hashes that others made: which scheme a text is of, and whether a password belongs to it.

Hashes come from customers' tables and from imports. A text that names a cost beyond `costs` is not computed,
so nobody who can write a hash can keep a core or the memory busy. What is too weak to be kept (MD5, DES,
plain text) is no scheme here. Ours are in `passwords.py`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import argon2
import bcrypt
from argon2.exceptions import HashingError, InvalidHashError, VerificationError
from argon2.low_level import hash_secret_raw
from passlib.hash import sha256_crypt, sha512_crypt
from pydantic import SecretStr

Verifier = Callable[[re.Match[str], bytes], bool]

_LONGEST_HASH: Final = 4_096
_MEMORY: Final = 256 * 2**20
"""Bytes that one verification may take."""
_ITERATIONS: Final = 2_000_000
"""PBKDF2; about half a second, as long as the key is one block."""
_KEY_BYTES: Final = range(16, 129)
"""A shorter key is right for too many passwords; each block of a longer one costs all iterations again."""
_TOUCHED: Final = 2 * 2**30
"""Bytes of memory that one verification may go through, all passes together."""
_LONGEST_BCRYPT: Final = 72
"""Bytes that bcrypt looks at. A longer password is never right: its rest would not be checked."""
_ARGON2: Final = argon2.PasswordHasher()
_GARBLED: Final = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
    HashingError,
)
"""What a text of a known shape can still cause, whose parts are none."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to write a hash. `costs`: the highest value of each number in it."""

    name: str
    shape: re.Pattern[str]
    verify: Verifier
    costs: Mapping[str, int] = field(default_factory=dict)

    def affordable(self, match: re.Match[str]) -> bool:
        """Whether verifying it is bounded."""
        told = {name: match[name] for name in self.costs}
        return all(text is None or 0 < int(text) <= self.costs[name] for name, text in told.items())


def scheme_of(text: str) -> str | None:
    """The name of the scheme that this hash is of; None where it is of none that we take."""
    found = _read(text)
    return None if found is None else found[0].name


def problem_of(text: str) -> str | None:
    """Why no password can be checked against this text, for its administrator; None where it can."""
    found = _read(text)
    if found is None:
        return "no known scheme, or one too weak to keep"
    scheme, match = found
    return None if scheme.affordable(match) else f"{scheme.name} with a cost beyond what is computed here"


def verify(text: str, password: SecretStr) -> bool:
    """Whether the password belongs to the hash; False for every hash that cannot be checked."""
    found = _read(text)
    if found is None or not found[0].affordable(found[1]):
        return False
    scheme, match = found
    try:
        return scheme.verify(match, password.get_secret_value().encode())
    except _GARBLED:
        return False


def verify_salted(
    algorithm: str, salt: str, expected: str, password: SecretStr, *, salt_first: bool, encoding: str
) -> bool:
    """Whether this is the digest of salt and password in the described order; `encoding`: hex or base64."""
    parts = (salt.encode(), password.get_secret_value().encode())
    made = hashlib.new(algorithm, b"".join(parts if salt_first else reversed(parts))).digest()
    text = made.hex() if encoding == "hex" else base64.b64encode(made).decode()
    told = expected.strip().lower() if encoding == "hex" else expected.strip()
    return hmac.compare_digest(text.encode(), told.encode())


def _read(text: str) -> tuple[Scheme, re.Match[str]] | None:
    if len(text) > _LONGEST_HASH or not text.isascii():
        return None
    for scheme in SCHEMES:
        match = scheme.shape.fullmatch(text)
        if match is not None:
            return scheme, match
    return None


def _argon2(match: re.Match[str], password: bytes) -> bool:
    if int(match["m"]) * 1024 * int(match["t"]) > _TOUCHED:
        return False
    try:
        return _ARGON2.verify(match["hash"], password)
    except (VerificationError, InvalidHashError):
        return False


def _bcrypt(match: re.Match[str], password: bytes) -> bool:
    return len(password) <= _LONGEST_BCRYPT and bcrypt.checkpw(password, match["hash"].encode())


def _bcrypt_of_sha256(match: re.Match[str], password: bytes) -> bool:
    return bcrypt.checkpw(hashlib.sha256(password).hexdigest().encode(), match["hash"].encode())


def _sha2_crypt(match: re.Match[str], password: bytes) -> bool:
    handler = sha256_crypt if match["hash"].startswith("$5$") else sha512_crypt
    return bool(handler.verify(password, match["hash"]))


def _pbkdf2(salt: Callable[[str], bytes], expected: Callable[[str], bytes]) -> Verifier:
    """PBKDF2 (RFC 8018 §5.2) with salt and key as they are written there."""

    def verifier(match: re.Match[str], password: bytes) -> bool:
        known = expected(match["key"])
        return _is_pbkdf2(match["digest"] or "1", password, salt(match["salt"]), int(match["rounds"]), known)

    return verifier


def _is_pbkdf2(digest: str, password: bytes, salt: bytes, rounds: int, known: bytes) -> bool:
    """Whether the key is that of the password; not computed beyond what is bounded."""
    if not 0 < rounds <= _ITERATIONS or len(known) not in _KEY_BYTES:
        return False
    made = hashlib.pbkdf2_hmac(f"sha{digest}", password, salt, rounds, len(known))
    return hmac.compare_digest(made, known)


def _scrypt(expected: Callable[[str], bytes], salt: Callable[[str], bytes]) -> Verifier:
    """scrypt (RFC 7914)."""

    def verifier(match: re.Match[str], password: bytes) -> bool:
        groups = match.groupdict()
        n = 1 << int(groups["ln"]) if groups.get("ln") else int(groups["n"])
        r, p, known = int(groups["r"]), int(groups["p"]), expected(match["key"])
        if 128 * n * r > _MEMORY or 128 * n * r * p > _TOUCHED or len(known) not in _KEY_BYTES:
            return False
        made = hashlib.scrypt(
            password, salt=salt(match["salt"]), n=n, r=r, p=p, maxmem=2 * _MEMORY, dklen=len(known)
        )
        return hmac.compare_digest(made, known)

    return verifier


def _digest_with_salt(match: re.Match[str], password: bytes) -> bool:
    """`{SSHA}` and its like: base64 of the digest of password and salt, then the salt."""
    algorithm = f"sha{match['digest'] or '1'}"
    data = base64.b64decode(match["data"], validate=True)
    size = hashlib.new(algorithm).digest_size
    made = hashlib.new(algorithm, password + data[size:]).digest()
    return len(data) >= size and hmac.compare_digest(made, data[:size])


def _aspnet(match: re.Match[str], password: bytes) -> bool:
    """ASP.NET Core Identity version 3, and version 2, which is told by its first byte."""
    data = base64.b64decode(match["data"], validate=True)
    if data[0] == 0 and len(data) == 49:
        return _is_pbkdf2("1", password, data[1:17], 1_000, data[17:])
    function, rounds, size = (int.from_bytes(data[at : at + 4]) for at in (1, 5, 9))
    salt, known = data[13 : 13 + size], data[13 + size :]
    if data[0] != 1 or len(salt) < 8:
        return False
    return _is_pbkdf2(("1", "256", "512")[function], password, salt, rounds, known)


def _keycloak(match: re.Match[str], password: bytes) -> bool:
    """A credential of Keycloak: `credentialData` and `secretData`, objects or the JSON texts of them."""
    whole = json.loads(match[0])
    told, secret = _object(whole["credentialData"]), _object(whole["secretData"])
    known, salt = base64.b64decode(secret["value"]), base64.b64decode(secret["salt"])
    if told["algorithm"] == "argon2":
        return _is_keycloak_argon2(told, password, salt, known)
    digest = {"pbkdf2": "1", "pbkdf2-sha256": "256", "pbkdf2-sha512": "512"}[told["algorithm"]]
    return _is_pbkdf2(digest, password, salt, int(told["hashIterations"]), known)


def _is_keycloak_argon2(told: dict[str, Any], password: bytes, salt: bytes, known: bytes) -> bool:
    """Keycloak keeps Argon2's numbers as lists of texts, beside the key."""
    numbers = {name: values[0] for name, values in told["additionalParameters"].items()}
    kind = {"id": argon2.Type.ID, "i": argon2.Type.I, "d": argon2.Type.D}[numbers.get("type", "id")]
    version = {"1.3": 19, "1.0": 16}[numbers.get("version", "1.3")]
    memory, lanes = int(numbers["memory"]), int(numbers.get("parallelism", 1))
    passes = int(told["hashIterations"])
    if not 0 < memory * 1024 <= _MEMORY or not 0 < passes * memory * 1024 <= _TOUCHED:
        return False
    if not 0 < lanes <= _ARGON2_COSTS["p"] or len(known) not in _KEY_BYTES:
        return False
    made = hash_secret_raw(password, salt, passes, memory, lanes, len(known), kind, version)
    return hmac.compare_digest(made, known)


def _object(value: Any) -> dict[str, Any]:
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _b64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _ab64(text: str) -> bytes:
    """Base64 with '.' for '+' and without padding, as Passlib writes it."""
    return _b64(text.replace(".", "+"))


def _text(text: str) -> bytes:
    return text.encode()


def _hex(text: str) -> bytes:
    return binascii.unhexlify(text)


def _shape(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


_ARGON2_TEXT = (
    r"(?P<hash>\$argon2(?:id|i|d)\$v=\d+\$m=(?P<m>\d{1,9}),t=(?P<t>\d{1,6}),p=(?P<p>\d{1,6})\$[^$]+\$[^$]+)"
)
_BCRYPT_TEXT = r"(?P<hash>\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{53})"
_CRYPT_TEXT = r"(?P<hash>\$[56]\$(?:rounds=(?P<rounds>\d{1,9})\$)?[^$:]{0,16}\$[./A-Za-z0-9]{43,86})"
_ARGON2_COSTS = {"m": _MEMORY // 1024, "t": 32, "p": 16}
_BCRYPT_COSTS = {"cost": 15}
_PBKDF2_COSTS = {"rounds": _ITERATIONS}


SCHEMES: Final[tuple[Scheme, ...]] = (
    Scheme("argon2", _shape(rf"(?:argon2|\{{ARGON2\}})?{_ARGON2_TEXT}"), _argon2, _ARGON2_COSTS),
    Scheme(
        "bcrypt", _shape(rf"(?:bcrypt\$|\{{CRYPT\}}|\{{BCRYPT\}})?{_BCRYPT_TEXT}"), _bcrypt, _BCRYPT_COSTS
    ),
    Scheme("bcrypt of SHA-256", _shape(rf"bcrypt_sha256\${_BCRYPT_TEXT}"), _bcrypt_of_sha256, _BCRYPT_COSTS),
    Scheme("SHA-2 crypt", _shape(rf"(?:\{{CRYPT\}})?{_CRYPT_TEXT}"), _sha2_crypt, {"rounds": 200_000}),
    Scheme(
        "PBKDF2 (Passlib)",
        _shape(r"\$pbkdf2(?:-sha(?P<digest>256|512))?\$(?P<rounds>\d{1,9})\$(?P<salt>[^$]*)\$(?P<key>[^$]+)"),
        _pbkdf2(_ab64, _ab64),
        _PBKDF2_COSTS,
    ),
    Scheme(
        "PBKDF2 (OpenLDAP)",
        _shape(
            r"\{PBKDF2(?:-SHA(?P<digest>1|256|512))?\}(?P<rounds>\d{1,9})\$(?P<salt>[^$]*)\$(?P<key>[^$]+)"
        ),
        _pbkdf2(_ab64, _ab64),
        _PBKDF2_COSTS,
    ),
    Scheme(
        "PBKDF2 (Django)",
        _shape(r"pbkdf2_sha(?P<digest>1|256)\$(?P<rounds>\d{1,9})\$(?P<salt>[^$]*)\$(?P<key>[^$]+)"),
        _pbkdf2(_text, _b64),
        _PBKDF2_COSTS,
    ),
    Scheme(
        "PBKDF2 (Werkzeug)",
        _shape(r"pbkdf2:sha(?P<digest>1|256|512):(?P<rounds>\d{1,9})\$(?P<salt>[^$]*)\$(?P<key>[0-9a-f]+)"),
        _pbkdf2(_text, _hex),
        _PBKDF2_COSTS,
    ),
    Scheme(
        "scrypt (Werkzeug)",
        _shape(r"scrypt:(?P<n>\d{1,9}):(?P<r>\d{1,4}):(?P<p>\d{1,4})\$(?P<salt>[^$]*)\$(?P<key>[0-9a-f]+)"),
        _scrypt(_hex, _text),
        {"n": 2**21, "r": 64, "p": 16},
    ),
    Scheme(
        "scrypt (Django)",
        _shape(r"scrypt\$(?P<n>\d{1,9})\$(?P<salt>[^$]*)\$(?P<r>\d{1,4})\$(?P<p>\d{1,4})\$(?P<key>[^$]+)"),
        _scrypt(_b64, _text),
        {"n": 2**21, "r": 64, "p": 16},
    ),
    Scheme(
        "scrypt (Passlib)",
        _shape(
            r"\$scrypt\$ln=(?P<ln>\d{1,2}),r=(?P<r>\d{1,4}),p=(?P<p>\d{1,4})\$(?P<salt>[^$]*)\$(?P<key>[^$]+)"
        ),
        _scrypt(_b64, _b64),
        {"ln": 21, "r": 64, "p": 16},
    ),
    Scheme(
        "salted SHA", _shape(r"\{SSHA(?P<digest>256|384|512)?\}(?P<data>[A-Za-z0-9+/=]+)"), _digest_with_salt
    ),
    Scheme("SHA-2", _shape(r"\{SHA(?P<digest>256|384|512)\}(?P<data>[A-Za-z0-9+/=]+)"), _digest_with_salt),
    Scheme("ASP.NET Identity", _shape(r"(?P<data>A[AQ][A-Za-z0-9+/]{48,300}={0,2})"), _aspnet),
    Scheme("Keycloak", _shape(r"\{\s*\"[^\0]*credentialData[^\0]*\}\s*"), _keycloak),
)
"""Every scheme; the first whose shape fits is the one."""
