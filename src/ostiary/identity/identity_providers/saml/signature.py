"""XML that somebody outside has sent, and what of it was signed (SAML Core §5, XML Signature §4).

What a provider says is read from the bytes that it signed, parsed anew; nothing else of the document counts.
So it does not matter what an attacker has put around them.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from cryptography import x509
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidCertificate, SignXMLException
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from ostiary.identity.identity_providers.contract import AssertionRefused

ASSERTION: Final = "urn:oasis:names:tc:SAML:2.0:assertion"
_SIGNATURE: Final = "http://www.w3.org/2000/09/xmldsig#"
_LARGEST: Final = 48 * 1024
"""Bytes of an assertion; a form at the token endpoint holds 64 KB."""
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}\Z")
_HASHES: Final = ("SHA256", "SHA384", "SHA512")
_METHODS = frozenset(
    one
    for one in SignatureMethod
    for name in _HASHES
    if one.name in (f"RSA_{name}", f"ECDSA_{name}", f"{name}_RSA_MGF1")
)
_DIGESTS = frozenset(DigestAlgorithm[name] for name in _HASHES)
_CANONICAL: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
_TRANSFORMS: Final = frozenset({"http://www.w3.org/2000/09/xmldsig#enveloped-signature", _CANONICAL})
"""SAML Core §5.4.3, §5.4.4: both, and no other. Inclusive canonicalization repeats every declaration of a
namespace, so that a small document takes seconds before anybody knows whether it was signed."""
_WHITE_SPACE: Final = " \t\r\n"
"""XML's own (XML 1.0 §2.3)."""
_OTHERS: Final = {
    f"{{{ASSERTION}}}EncryptedAssertion": "an assertion that is not encrypted was expected",
    "{urn:oasis:names:tc:SAML:2.0:protocol}Response": "the Assertion inside of the Response was expected",
}


@dataclass(frozen=True, slots=True)
class Unverified:
    """An assertion as it came in: well-formed, and with the one signature that it has to have."""

    root: etree._Element
    id: str
    issuer: str
    """Whose it claims to be; says by whose certificates to verify it."""


def parse(text: str) -> Unverified:
    """Read the parameter of a token request (RFC 7522 §2.1: base64url).

    Raises:
        AssertionRefused: it is not one SAML 2.0 assertion with one signature of all of it.
    """
    root = _tree(_decoded(text))
    if root.tag != f"{{{ASSERTION}}}Assertion" or root.get("Version") != "2.0":
        raise AssertionRefused(_OTHERS.get(str(root.tag), "one SAML 2.0 Assertion was expected"))
    own = root.get("ID")
    if not own or len(own) > 1024:
        raise AssertionRefused("the assertion has no ID")
    signatures = list(root.iter(f"{{{_SIGNATURE}}}Signature"))
    if not signatures:
        raise AssertionRefused("the assertion is not signed")
    if len(signatures) > 1 or signatures[0].getparent() is not root:
        raise AssertionRefused("one signature was expected, as a child of the Assertion")
    _check_form(signatures[0], own)
    return Unverified(root, own, text_of(root.find(f"{{{ASSERTION}}}Issuer")))


def signed(unverified: Unverified, certificates: Sequence[x509.Certificate], now: datetime) -> etree._Element:
    """What one of these certificates' keys has signed, which is all of the assertion but its signature.

    Raises:
        AssertionRefused: none of them has, or those that might are over.
    """
    expected = SignatureConfiguration(
        location="./",
        signature_methods=_METHODS,
        digest_algorithms=_DIGESTS,
        ignore_ambiguous_key_info=True,  # what the document says of keys is not used
        verification_time=now,
    )
    whole, reason = etree.tostring(unverified.root), ""
    for certificate in certificates:
        try:
            found = XMLVerifier().verify(
                whole, parser=_parser(), x509_cert=certificate, id_attribute="ID", expect_config=expected
            )
        except InvalidCertificate:
            reason = "the certificate that would verify the signature is over, or not valid yet"
        except (SignXMLException, etree.LxmlError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = reason or type(error).__name__  # its text is the document's
        else:
            one = cast(VerifyResult, found)  # a list only where several references are expected
            return _same(_tree(one.signed_data), unverified)
    raise AssertionRefused("the signature is not by a certificate of the identity provider", reason)


def text_of(element: etree._Element | None) -> str:
    """The text of an element without white space around it; empty where there is none, or something else."""
    if element is None or len(element):
        return ""
    return (element.text or "").strip(_WHITE_SPACE)


def children(element: etree._Element | None, name: str) -> Iterator[etree._Element]:
    """The children of that name in SAML's namespace."""
    return iter(()) if element is None else element.iterchildren(f"{{{ASSERTION}}}{name}")


def _decoded(text: str) -> bytes:
    if not _BASE64URL.match(text) or len(text) > _LARGEST * 4 // 3:
        raise AssertionRefused(f"base64url of at most {_LARGEST // 1024} KB was expected (RFC 7522 §2.1)")
    bare = text.rstrip("=")
    try:
        return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except binascii.Error:
        raise AssertionRefused("base64url was expected (RFC 7522 §2.1)") from None


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, dtd_validation=False, huge_tree=False
    )


def _tree(document: bytes) -> etree._Element:
    try:
        root = etree.fromstring(document, _parser())
    except (etree.XMLSyntaxError, ValueError):
        raise AssertionRefused("XML was expected") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise AssertionRefused("XML without a document type was expected")
    above = (root.getprevious(), root.getnext())
    if any(one is not None for one in above) or any(not isinstance(one.tag, str) for one in root.iter()):
        raise AssertionRefused("XML without comments, processing instructions and entities was expected")
    return root


def _check_form(signature: etree._Element, own: str) -> None:
    """SAML Core §5.4: one reference, to the assertion around it, and nothing that changes what is signed."""
    references = list(signature.iter(f"{{{_SIGNATURE}}}Reference"))
    if len(references) != 1 or references[0].get("URI") != f"#{own}":
        raise AssertionRefused("a signature of the whole assertion was expected (SAML Core §5.4.2)")
    canonical = _algorithms(signature, "CanonicalizationMethod")
    transforms = _algorithms(references[0], "Transform")
    if canonical != [_CANONICAL] or len(transforms) != 2 or frozenset(transforms) != _TRANSFORMS:
        raise AssertionRefused(
            "exclusive canonicalization and no other transform was expected (SAML Core §5.4)"
        )
    if not (
        {*_algorithms(signature, "SignatureMethod")} <= {one.value for one in _METHODS}
        and {*_algorithms(signature, "DigestMethod")} <= {one.value for one in _DIGESTS}
    ):
        raise AssertionRefused("a signature by RSA or ECDSA with SHA-256 or longer was expected")


def _algorithms(element: etree._Element, name: str) -> list[str | None]:
    return [one.get("Algorithm") for one in element.iter(f"{{{_SIGNATURE}}}{name}")]


def _same(root: etree._Element, unverified: Unverified) -> etree._Element:
    """What was signed, if it is what was looked at before."""
    issuer = text_of(root.find(f"{{{ASSERTION}}}Issuer"))
    if root.tag != unverified.root.tag or root.get("ID") != unverified.id or issuer != unverified.issuer:
        raise AssertionRefused("a signature of the whole assertion was expected (SAML Core §5.4)")
    return root
