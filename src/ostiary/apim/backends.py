"""Where the calls of an API go, and how: addresses, time-outs, health checks, certificates.

Whether an address may be called at all is the outbound policy's. The key of a client certificate is sealed,
never shown, and not kept when the addresses change: a secret meant for one service does not go to another.
"""

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import SecretStr

from ostiary.apim.errors import Invalid
from ostiary.foundation.secrets import SecretBox, SecretUnreadable

_MAX_BACKENDS = 50
_MAX_AUTHORITIES = 50
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_URL_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()+,=:@-]*)*")
_CHECK_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()+,=:@/-]{0,199}")
_SERVER_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")
TIMEOUT_MS = range(100, 600_001)
CONNECT_TIMEOUT_MS = range(50, 60_001)
BREAKER_FAILURES = range(1, 1_001)
BREAKER_PAUSE_SECONDS = range(1, 61)
_BREAKER = ("breaker_failures", "breaker_pause_seconds")


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What the gateway proves itself with to a backend, PEM; its key is sealed once it is known."""

    certificate: str
    key: SecretStr | None = None
    """`None` keeps the one there is."""
    sealed_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Backend:
    """Where the calls go: addresses for production keys and for sandbox keys; the rest holds for both."""

    production: tuple[str, ...] = ()
    sandbox: tuple[str, ...] = ()
    timeout_ms: int | None = None
    """For each answer; `None` is the gateway's own."""
    connect_timeout_ms: int | None = None
    health_check: str | None = None
    """A path that a healthy backend answers with 2xx or 3xx."""
    server_name: str | None = None
    """The name in the backends' certificates, where it is not the address's."""
    ca: str | None = None
    """PEM: authorities of the backends' certificates, instead of the system's."""
    client_certificate: ClientCertificate | None = None
    breaker_failures: int | None = None
    """Failures in a row after which its callers are answered at once; `None` is the gateway's own."""
    breaker_pause_seconds: int | None = None
    """How long it is left alone then, until one call tries it."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address, production first."""
        return self.production + self.sandbox

    @property
    def options(self) -> dict[str, str | int]:
        """What is said besides addresses and the client certificate, by name."""
        names = ("timeout_ms", "connect_timeout_ms", "health_check", "server_name", "ca", *_BREAKER)
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def check_backend(backend: Backend) -> None:
    """Check what a backend says.

    Raises:
        Invalid: an address that cannot be called, too many or one twice, or an option that cannot be.
    """
    for addresses in (backend.production, backend.sandbox):
        for address in addresses:
            parse_backend_url(address)
        if len(addresses) > _MAX_BACKENDS or len(set(addresses)) < len(addresses):
            raise Invalid("backend", f"{len(addresses)} addresses", f"at most {_MAX_BACKENDS}, each once")
        _check_alike(backend, addresses)
    _check_number("timeout_ms", backend.timeout_ms, TIMEOUT_MS)
    _check_number("connect_timeout_ms", backend.connect_timeout_ms, CONNECT_TIMEOUT_MS)
    _check_number("breaker_failures", backend.breaker_failures, BREAKER_FAILURES, "failures in a row")
    _check_number("breaker_pause_seconds", backend.breaker_pause_seconds, BREAKER_PAUSE_SECONDS, "seconds")
    if backend.health_check is not None and not _CHECK_PATH.fullmatch(backend.health_check):
        raise Invalid("backend.health_check", repr(backend.health_check), "a path such as /healthz")
    _check_tls(backend)


def parse_backend_url(text: str) -> str:
    """Check an address: http or https, a host, no user name, query or fragment.

    Raises:
        Invalid: it is not such an address.
    """
    expected = "an address such as https://orders.example:8443/base without user name, query or fragment"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Invalid("backend", "a malformed address", expected) from None
    host = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
    wrong = (
        parts.scheme not in ("http", "https")
        or "@" in parts.netloc
        or not _HOST.fullmatch(host)
        or port == 0
        or not _URL_PATH.fullmatch(parts.path)
        or any(segment in (".", "..") for segment in parts.path.split("/"))
        or any(mark in text for mark in "?#;\\")
        or not all("!" <= character <= "~" for character in text)
    )
    if wrong or len(text) > 500:
        found = "an address with a user name" if "@" in text else repr(text)
        raise Invalid("backend", found, expected)
    return text


def check_names(backend: Backend) -> None:
    """Check that certificates can be compared with names. Addresses that may not be called come before it.

    Raises:
        Invalid: https to an IP address, or a health check of several names, without a server name.
    """
    if backend.server_name is not None:
        return
    for addresses in (backend.production, backend.sandbox):
        tls = [one for one in map(urlsplit, addresses) if one.scheme == "https"]
        if any(_is_address(one) for one in tls):
            expected = "the name in the certificate, for https to an IP address"
            raise Invalid("backend.server_name", "none", expected)
        if backend.health_check and len({one.hostname for one in tls}) > 1:
            expected = "one name in all certificates, for the health check"
            raise Invalid("backend.server_name", "none", expected)


def settled(backend: Backend, known: Backend | None, box: SecretBox | None, context: str) -> Backend:
    """Return the backend as it is kept: PEM written anew, the client's key sealed.

    Without a box nothing can be sealed, so no client certificate is taken.

    Raises:
        Invalid: no such PEM, a key that is not the certificate's, or none where one is needed.
    """
    ca = None if backend.ca is None else _written(_certificates("backend.ca", backend.ca))
    given = backend.client_certificate
    if given is None:
        return replace(backend, ca=ca)
    if box is None:
        raise Invalid("backend.client_certificate", "one", "none: nothing can be sealed here")
    chain = _certificates(_CERTIFICATE, given.certificate)
    sealed = _sealed_key(given, chain[0], _key_to_keep(backend, known), box, context)
    return replace(backend, ca=ca, client_certificate=ClientCertificate(_written(chain), None, sealed))


def fingerprint(pem: str | None) -> str | None:
    """Say certificates in one short line: equal for equal ones, however their PEM is written."""
    if pem is None:
        return None
    try:
        content = b"".join(
            one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(pem.encode())
        )
    except ValueError:
        content = pem.encode()
    return f"sha256:{hashlib.sha256(content).hexdigest()[:32]}"


def client_key_context(api_id: str) -> str:
    """Name the place a client's key is sealed for."""
    return f"apis:client_key:{api_id}"


def open_client_key(backend: Backend, box: SecretBox, api_id: str) -> str | None:
    """Return the client's key, PEM; `None` where there is none or it cannot be read."""
    sealed = backend.client_certificate.sealed_key if backend.client_certificate else None
    if sealed is None:
        return None
    try:
        return box.open(sealed, client_key_context(api_id)).decode()
    except SecretUnreadable:
        return None


_CERTIFICATE = "backend.client_certificate.certificate"
_KEY = "backend.client_certificate.key"


def _key_to_keep(backend: Backend, known: Backend | None) -> str | None:
    """The sealed key there is, unless the addresses are others now."""
    if known is None or known.client_certificate is None or known.addresses != backend.addresses:
        return None
    return known.client_certificate.sealed_key


def _sealed_key(
    given: ClientCertificate, leaf: x509.Certificate, kept: str | None, box: SecretBox, context: str
) -> str:
    plain = None
    if kept is not None:
        try:
            plain = box.open(kept, context)
        except SecretUnreadable:
            kept = None
    if given.key is None:
        if kept is None or plain is None:
            raise Invalid(_KEY, "none", "the key (PEM): none is kept for a new or changed address")
        _check_pair(leaf, plain)
        return kept
    written = _check_pair(leaf, given.key.get_secret_value().encode())
    return kept if kept is not None and plain == written else box.seal(written, context)


def _check_pair(leaf: x509.Certificate, key: bytes) -> bytes:
    """The key, PEM written anew, when it is the certificate's."""
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Invalid(_KEY, "something else", "a private key as PEM, not encrypted") from None
    mine, theirs = (
        one.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for one in (private.public_key(), leaf.public_key())
    )
    if mine != theirs:
        raise Invalid(_KEY, "another key", "the key of the certificate")
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _check_alike(backend: Backend, addresses: Sequence[str]) -> None:
    """Addresses that share a check or a certificate are one service: one scheme, one path."""
    parts = [urlsplit(address) for address in addresses]
    special = backend.health_check or backend.connect_timeout_ms or backend.ca or backend.client_certificate
    special = special or backend.breaker_failures or backend.breaker_pause_seconds
    if special and len({(one.scheme, one.path.rstrip("/")) for one in parts}) > 1:
        raise Invalid("backend", ", ".join(addresses), "addresses of one scheme and path with these options")


def _check_tls(backend: Backend) -> None:
    name = backend.server_name
    if name is not None and (len(name) > 253 or not _SERVER_NAME.fullmatch(name)):
        raise Invalid("backend.server_name", repr(name), "a host name in lower case")
    if backend.ca is not None:
        _certificates("backend.ca", backend.ca)
    if backend.client_certificate is not None:
        leaf = _certificates(_CERTIFICATE, backend.client_certificate.certificate)[0]
        if backend.client_certificate.key is not None:
            _check_pair(leaf, backend.client_certificate.key.get_secret_value().encode())
    said = next((name for name in ("ca", "client_certificate") if getattr(backend, name)), None)
    if said and not any(address.startswith("https:") for address in backend.addresses):
        raise Invalid(f"backend.{said}", "only http addresses", "https addresses, or not this option")


def _check_number(name: str, value: int | None, bounds: range, unit: str = "milliseconds") -> None:
    if value is not None and value not in bounds:
        raise Invalid(f"backend.{name}", str(value), f"{bounds[0]} to {bounds[-1]} {unit}")


def _certificates(field: str, text: str) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise Invalid(field, "something else", "certificates as PEM") from None
    if not 1 <= len(found) <= _MAX_AUTHORITIES:
        raise Invalid(field, f"{len(found)} certificates", f"1 to {_MAX_AUTHORITIES} certificates as PEM")
    return found


def _written(certificates: Sequence[x509.Certificate]) -> str:
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def _is_address(parts: SplitResult) -> bool:
    try:
        ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return False
    return True
