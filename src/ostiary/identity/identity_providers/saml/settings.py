"""What can be set of a SAML identity provider: who it is, its certificates, where it says who somebody is."""

from __future__ import annotations

from typing import Annotated, ClassVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import Field

from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity.errors import InvalidUserStore
from ostiary.identity.user_stores.type_settings import FileText, TypeSettings

Identifier = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00-\x20\x7f]+$")]
"""An entity identifier or an address: a URI (SAML Core §8.3.6)."""
AttributeName = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]


class SAMLSettings(TypeSettings):
    """An identity provider whose signed assertions clients bring (RFC 7522)."""

    TAKES_PASSWORDS: ClassVar[bool] = False
    NO_OPTIONS: ClassVar[frozenset[str]] = frozenset(
        {"timeout_ms", "concurrency", "ask_again_after_seconds", "migrate_until"}
    )

    entity_id: Identifier
    """Who it is: the `Issuer` of its assertions."""
    certificates: Annotated[list[FileText], Field(min_length=1, max_length=10)]
    """PEM, one each: any of them may have signed. While the provider changes its key there are two."""
    aliases: Annotated[list[Identifier], Field(max_length=20)] = Field(default_factory=list)
    """What it calls us besides our issuer and token endpoint, as `Audience` or `Recipient`."""
    id: AttributeName | None = None
    """The attribute that identifies somebody for ever; without it that is the `NameID`."""
    username: AttributeName | None = None
    """The attribute with the user name; without it that is the `NameID`."""
    groups: AttributeName | None = None
    """The attribute with the groups."""
    claims: Annotated[dict[AttributeName, AttributeName], Field(max_length=50)] = Field(default_factory=dict)
    """Claims, and the attributes they are from."""
    clock_skew_seconds: Annotated[int, Field(ge=0, le=300)] = 60
    """Seconds by which its clock and ours may differ."""

    def check(self, policy: OutboundPolicy | None) -> None:
        """Read every certificate. There is no address: nobody is asked."""
        self.keys()

    def keys(self) -> tuple[x509.Certificate, ...]:
        """The certificates, read.

        Raises:
            InvalidUserStore: one is none, or its key is too short or of another kind.
        """
        return tuple(_certificate(text, f"certificates.{n}") for n, text in enumerate(self.certificates))


def _certificate(text: str, field: str) -> x509.Certificate:
    try:
        (found,) = x509.load_pem_x509_certificates(text.encode())
        key = found.public_key()
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm):
        raise InvalidUserStore(field, "one certificate in PEM") from None
    is_rsa = isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048
    if not (is_rsa or (isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= 256)):
        raise InvalidUserStore(field, "a certificate of an RSA key of 2048 bits or an EC key of 256, or more")
    return found
