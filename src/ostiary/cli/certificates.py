"""The certificates of the listeners: the operator's own, or a self-made authority on first start (RFC 5280).

`DIR/tls/ca.pem` is what clients are given to trust; its key never leaves `DIR/tls`. `server.pem` holds
certificate and key, as HAProxy reads them. It is made again when it is about to expire or when the names it
has to cover have changed; the authority stays, so clients need not be told.
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from ostiary.cli.data_directory import DataDirectory, write_private
from ostiary.cli.errors import OperatorError
from ostiary.foundation.certificates import CertificateAuthority, Purpose, key_pem, new_key
from ostiary.gateway import CONTROL_PLANE_NAME

CA_LIFETIME = timedelta(days=3650)
SERVER_LIFETIME = timedelta(days=397)
RENEW_BEFORE = timedelta(days=30)


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
            if not fresh_authority and server_serves(self.server_file, wanted, now):
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
        authority = CertificateAuthority.create(f"Ostiary of {socket.gethostname()}", now, CA_LIFETIME)
        write_private(self._key_file, authority.key_pem)
        write_private(self.certificate_file, authority.certificate_pem)
        self.certificate_file.chmod(0o644)
        return True

    def _issue(self, names: frozenset[str], now: datetime) -> None:
        authority = CertificateAuthority.from_pem(
            self.certificate_file.read_bytes(), self._key_file.read_bytes()
        )
        write_server(self.server_file, authority, names, now)


def write_server(path: Path, authority: CertificateAuthority, names: Iterable[str], now: datetime) -> None:
    """Have a new key certified for a server, and keep both in one file, as HAProxy reads them."""
    key = new_key()
    certificate = authority.issue("Ostiary", key.public_key(), Purpose.SERVER, now, SERVER_LIFETIME, names)
    write_private(path, certificate + key_pem(key))


def server_serves(path: Path, names: frozenset[str], now: datetime) -> bool:
    """Whether the certificate in `path` covers these names for a while yet.

    Raises:
        ValueError: there is a file, and it is no certificate.
    """
    if not path.exists():
        return False
    certificate = _certificate(path)
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    covered = {str(name.value) for name in found}
    return names <= covered and certificate.not_valid_after_utc - now > RENEW_BEFORE


@dataclass(frozen=True, slots=True)
class NodeListenerFiles:
    """What the node listener shows and whom it believes, as HAProxy reads them."""

    certificate: Path
    authority: Path


def node_listener_files(directory: Path) -> NodeListenerFiles:
    """Where they are."""
    return NodeListenerFiles(directory / "nodes.pem", directory / "node-authority.pem")


def ensure_node_listener(directory: DataDirectory, authority: CertificateAuthority, now: datetime) -> bool:
    """Have the node listener certified by the authority of gateway nodes; say whether anything is new."""
    files, names = node_listener_files(directory.tls), frozenset({CONTROL_PLANE_NAME})
    known = files.authority.read_bytes() if files.authority.exists() else b""
    try:
        serves = known == authority.certificate_pem and server_serves(files.certificate, names, now)
    except ValueError:
        serves = False  # damaged: made again
    if serves:
        return False
    write_server(files.certificate, authority, names, now)
    write_private(files.authority, authority.certificate_pem)
    return True


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
