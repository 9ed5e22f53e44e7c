"""An identity provider of a test: it signs whatever assertion it is asked for, right or wrong."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml import SignatureMethod, XMLSigner

GRANT = "urn:ietf:params:oauth:grant-type:saml2-bearer"
ENTITY = "https://idp.partner.example/metadata"
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def a_certificate(key: Key, begins: datetime, ends: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an identity provider")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begins, ends)
    return builder.sign(key, hashes.SHA256())


@dataclass
class Said:
    """What an assertion says; every part may be wrong."""

    now: datetime
    audience: str
    recipient: str
    id: str = "_a1"
    issuer: str = ENTITY
    name: str = "Alice@partner.example"
    name_attributes: str = f'Format="{PERSISTENT}"'
    minutes: float = 5
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    change: Callable[[str], str] = lambda text: text
    """The last word on the text before it is signed."""

    def text(self) -> str:
        end, now = _time(self.now + timedelta(minutes=self.minutes)), _time(self.now)
        return self.change(f"""\
<saml:Assertion xmlns:saml="{SAML}" Version="2.0" ID="{self.id}" IssueInstant="{now}">\
<saml:Issuer>{self.issuer}</saml:Issuer>\
<saml:Subject><saml:NameID {self.name_attributes}>{escape(self.name)}</saml:NameID>\
<saml:SubjectConfirmation Method="{BEARER}">\
<saml:SubjectConfirmationData NotOnOrAfter="{end}" Recipient="{self.recipient}"/></saml:SubjectConfirmation>\
</saml:Subject>\
<saml:Conditions NotBefore="{now}" NotOnOrAfter="{end}">\
<saml:AudienceRestriction><saml:Audience>{self.audience}</saml:Audience></saml:AudienceRestriction>\
</saml:Conditions>\
<saml:AuthnStatement AuthnInstant="{now}"><saml:AuthnContext><saml:AuthnContextClassRef>\
urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>\
{self._statement()}</saml:Assertion>""")

    def _statement(self) -> str:
        if not self.attributes:
            return ""
        found = "".join(
            f'<saml:Attribute Name="{name}">'
            + "".join(f"<saml:AttributeValue>{escape(value)}</saml:AttributeValue>" for value in values)
            + "</saml:Attribute>"
            for name, values in self.attributes.items()
        )
        return f"<saml:AttributeStatement>{found}</saml:AttributeStatement>"


class SAMLIssuer:
    """A key with its certificate, and assertions signed by it."""

    def __init__(self, key: Key | None = None, *, now: datetime | None = None, days: int = 3650) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        begins = (now or datetime.now(UTC)) - timedelta(days=1)
        self.certificate = a_certificate(self.key, begins, begins + timedelta(days=days))
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def signed(self, text: str, **how: Any) -> bytes:
        """A document with an enveloped signature over it."""
        kind = "RSA" if isinstance(self.key, rsa.RSAPrivateKey) else "ECDSA"
        method = how.pop("method", SignatureMethod[f"{kind}_SHA256"])
        algorithm = how.pop("c14n", "http://www.w3.org/2001/10/xml-exc-c14n#")
        signer = XMLSigner(signature_algorithm=method, c14n_algorithm=algorithm, **how)
        root = etree.fromstring(text.encode())
        reference = f"#{root.get('ID')}" if root.get("ID") else None
        done = signer.sign(root, key=self.key, cert=[self.certificate], reference_uri=reference)
        return etree.tostring(done)

    def assertion(self, said: Said) -> str:
        """The parameter of a token request."""
        return encoded(self.signed(said.text()))


def encoded(document: bytes) -> str:
    """RFC 7522 §2.1."""
    return base64.urlsafe_b64encode(document).rstrip(b"=").decode()


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
