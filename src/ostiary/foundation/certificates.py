"""X.509 certificates (RFC 5280): a self-made authority, and what it signs for servers and for clients.

Pure: PEM in, PEM out. Who keeps the files or the rows, and for how long anything is good, is the caller's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_BACKDATED = timedelta(hours=1)
"""Peers whose clock is a little behind must not refuse a new certificate."""


class Purpose(Enum):
    """What a certificate is good for; nobody accepts it for anything else (RFC 5280 §4.2.1.12)."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


class BadSigningRequest(ValueError):
    """A certificate signing request that nothing is signed for; the text says why."""


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """A certificate that signs others, with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return f"CertificateAuthority({self.fingerprint[:8]}…)"

    @classmethod
    def create(cls, name: str, now: datetime, lifetime: timedelta) -> CertificateAuthority:
        """Make a new one."""
        key, subject = new_key(), _name(name)
        certificate = (
            _builder(subject, subject, key.public_key(), now, now + lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes) -> CertificateAuthority:
        """Read one.

        Raises:
            ValueError, TypeError: it is not what it should be.
        """
        signer = load_pem_private_key(key, password=None)
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise TypeError("the authority's key is not an elliptic curve key")
        return cls(x509.load_pem_x509_certificate(certificate), signer)

    @property
    def certificate_pem(self) -> bytes:
        """What peers are given to trust."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The secret half."""
        return key_pem(self.key)

    @property
    def fingerprint(self) -> str:
        """The certificate's SHA-256, by which it is recognised."""
        return fingerprint(self.certificate)

    def issue(
        self,
        name: str,
        public_key: ec.EllipticCurvePublicKey,
        purpose: Purpose,
        now: datetime,
        lifetime: timedelta,
        names: Iterable[str] = (),
    ) -> bytes:
        """Sign a certificate, PEM; `names` are the host names and addresses it covers."""
        until = min(now + lifetime, self.certificate.not_valid_after_utc)
        builder = (
            _builder(_name(name), self.certificate.subject, public_key, now, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose.value]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        covered = [_general_name(one) for one in sorted(names)]
        if covered:
            builder = builder.add_extension(x509.SubjectAlternativeName(covered), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write a private key as PEM, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def fingerprint(certificate: x509.Certificate) -> str:
    """Return a certificate's SHA-256 in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def signing_request(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Ask for a certificate (RFC 2986), PEM. It names nobody: who it is for is the authority's to say."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return request.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def requested_key(request: bytes) -> ec.EllipticCurvePublicKey:
    """Return the key a signing request asks about; whoever wrote it has its private half.

    Raises:
        BadSigningRequest: it is none, is not signed by its key, or the key is not P-256.
    """
    try:
        parsed = x509.load_pem_x509_csr(request)
        key = parsed.public_key()
        is_signed = parsed.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise BadSigningRequest("a PEM certificate signing request was expected") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadSigningRequest("the key must be P-256")
    if not is_signed:
        raise BadSigningRequest("it is not signed by the key it names")
    return key


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(until)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode())


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
