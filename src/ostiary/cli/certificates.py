"""The certificates of the listeners: the operator's own, or a self-made authority on first start (RFC 5280).

`DIR/tls/ca.pem` is what clients are given to trust; its key never leaves `DIR/tls`. `server.pem` holds
certificate and key, as HAProxy reads them. It is made again when it is about to expire or when the names it
has to cover have changed; the authority stays, so clients need not be told.
"""

import ipaddress
import socket
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ostiary.cli.data_directory import write_private
from ostiary.cli.errors import OperatorError

CA_LIFETIME = timedelta(days=3650)
SERVER_LIFETIME = timedelta(days=397)
RENEW_BEFORE = timedelta(days=30)
_BACKDATED = timedelta(hours=1)
"""Clients whose clock is a little behind must not refuse a new certificate."""


class Authority:
    """The installation's own certificate authority."""

    def __init__(self, directory: Path) -> None:
        self.certificate_file = directory / "ca.pem"
        self.server_file = directory / "server.pem"
        self._key_file = directory / "ca.key"

    def ensure(self, names: Iterable[str], now: datetime) -> bool:
        """Make what is missing, about to expire or not covering `names`; say whether `server.pem` is new.

        Raises:
            OperatorError: a file in the directory cannot be read as what it should be.
        """
        wanted = frozenset(names)
        try:
            fresh_authority = self._ensure_authority(now)
            if not fresh_authority and self._server_serves(wanted, now):
                return False
            self._issue(wanted, now)
        except (ValueError, TypeError) as error:
            raise OperatorError(
                f"a certificate in {self.server_file.parent} is damaged ({error}): "
                "remove that directory to have new ones made, and give clients the new ca.pem"
            ) from error
        return True

    def _ensure_authority(self, now: datetime) -> bool:
        made = self.certificate_file.exists() and self._key_file.exists()
        if made and _certificate(self.certificate_file).not_valid_after_utc - now > RENEW_BEFORE:
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Ostiary of {socket.gethostname()}"[:64])])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(now + CA_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(self._key_file, _key_pem(key))
        write_private(self.certificate_file, certificate.public_bytes(Encoding.PEM))
        self.certificate_file.chmod(0o644)
        return True

    def _server_serves(self, names: frozenset[str], now: datetime) -> bool:
        if not self.server_file.exists():
            return False
        certificate = _certificate(self.server_file)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        covered = {str(name.value) for name in found}
        return names <= covered and certificate.not_valid_after_utc - now > RENEW_BEFORE

    def _issue(self, names: frozenset[str], now: datetime) -> None:
        authority = _certificate(self.certificate_file)
        signer = load_pem_private_key(self._key_file.read_bytes(), password=None)
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise TypeError("ca.key is not an elliptic curve key")
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ostiary")]))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(min(now + SERVER_LIFETIME, authority.not_valid_after_utc))
            .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
            .sign(signer, hashes.SHA256())
        )
        write_private(self.server_file, certificate.public_bytes(Encoding.PEM) + _key_pem(key))


def names_to_cover(public_host: str | None) -> frozenset[str]:
    """The names and addresses under which this machine is reached."""
    names = {"localhost", "127.0.0.1", "::1", socket.gethostname(), public_host or "localhost"}
    return frozenset(name for name in names if name)


def install_given(directory: Path, certificate: Path, key: Path) -> bool:
    """Put the operator's certificate chain and key where HAProxy reads them; say whether they are new.

    Raises:
        OperatorError: one of the files is missing or not what it should be, or they do not belong together.
    """
    try:
        chain, private = certificate.read_bytes(), key.read_bytes()
        theirs = x509.load_pem_x509_certificate(chain).public_key()
        ours = load_pem_private_key(private, password=None).public_key()
    except (OSError, ValueError, TypeError) as error:
        raise OperatorError(f"the certificate {certificate} with {key} cannot be used: {error}") from error
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if theirs.public_bytes(*form) != ours.public_bytes(*form):
        raise OperatorError(f"the key {key} does not belong to the certificate {certificate}")
    both = chain.rstrip() + b"\n" + private
    server_file = directory / "server.pem"
    if server_file.exists() and server_file.read_bytes() == both:
        return False
    write_private(server_file, both)
    return True


def _certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _general_names(names: Iterable[str]) -> list[x509.GeneralName]:
    return [_general_name(name) for name in sorted(names)]


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
