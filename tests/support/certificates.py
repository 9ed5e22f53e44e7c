"""Certificates of a test's own authority: what backends prove themselves with, and what callers do."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ostiary.foundation.certificates import CertificateAuthority, Purpose, key_pem, new_key

_DAY = timedelta(days=1)


class Authority:
    """An authority and what it signed; everything is PEM text."""

    def __init__(self) -> None:
        self._authority = CertificateAuthority.create("a test", datetime.now(UTC), _DAY)
        self.ca = self._authority.certificate_pem.decode()

    def issue(self, *names: str, purpose: Purpose = Purpose.SERVER) -> tuple[str, str]:
        """A certificate for these names, and its key."""
        key = new_key()
        signed = self._authority.issue(names[0], key.public_key(), purpose, datetime.now(UTC), _DAY, names)
        return signed.decode(), key_pem(key).decode()

    def server(self, folder: Path, *names: str, clients: "Authority | None" = None) -> ssl.SSLContext:
        """What a backend of these names speaks TLS with; `clients` must have signed whoever calls it."""
        file = folder / f"{names[0]}.pem"
        file.write_text("".join(self.issue(*names)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients.ca)
        return context
