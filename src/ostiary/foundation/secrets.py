"""Secrets: random tokens, sealing what must be readable again, fingerprints of what must not.

The installation's key is 32 random bytes in `DIR/secret.key`. Two keys are derived from it
(HKDF, RFC 5869): one seals (AES-256-GCM), one fingerprints (HMAC-SHA256). A copy of the
database without that file reveals no secret and offers nothing to guess against.
"""

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_NONCE_BYTES = 12


class SecretUnreadable(Exception):
    """A sealed value was sealed with another key, in another place, or was altered."""


class SecretBox:
    """Seals, opens and fingerprints secrets with the installation's key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the installation's key has {KEY_BYTES} bytes, this one {len(key)}")
        self._seal = AESGCM(_derive(key, b"ostiary seal v1"))
        self._mac_key = _derive(key, b"ostiary fingerprint v1")

    def __repr__(self) -> str:
        return "SecretBox(…)"

    def seal(self, plain: str | bytes, context: str) -> str:
        """Encrypt `plain` so that it opens only in the same `context` ("table:column:row id")."""
        data = plain.encode() if isinstance(plain, str) else plain
        nonce = os.urandom(_NONCE_BYTES)
        return _encode(nonce + self._seal.encrypt(nonce, data, context.encode()))

    def open(self, sealed: str, context: str) -> bytes:
        """Decrypt what `seal` returned.

        Raises:
            SecretUnreadable: another key, another context, or altered.
        """
        try:
            data = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            return self._seal.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError) as error:
            raise SecretUnreadable(f"cannot read the secret of {context}: is this its secret.key?") from error

    def fingerprint(self, secret: str, context: str) -> str:
        """A keyed hash (43 characters): equal for equal secrets in one context, useless without the key."""
        message = context.encode() + b"\x00" + secret.encode("utf-8", "surrogatepass")
        return _encode(hmac.digest(self._mac_key, message, "sha256"))


def load_or_create_key(path: Path) -> bytes:
    """Read the installation's key, making it (mode 0600) where there is none."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        key = os.urandom(KEY_BYTES)
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key


def random_token(nbytes: int = 32) -> str:
    """`nbytes` random bytes in base64url without padding."""
    return secrets.token_urlsafe(nbytes)


def digest(text: str) -> str:
    """SHA-256 of `text`, 64 hexadecimal characters. For values that are random already."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def same(left: str, right: str) -> bool:
    """Compare in a time that depends on the lengths alone."""
    return hmac.compare_digest(left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(key)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
