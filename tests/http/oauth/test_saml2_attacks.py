"""Documents that no identity provider signed as they are: XML attacks, wrapped signatures, weak hashes."""

from collections.abc import Callable
from typing import Any

import pytest
from signxml import SignatureMethod
from signxml.algorithms import DigestAlgorithm
from tests.http.oauth.installation import Installation
from tests.http.oauth.partner import IDP, OTHER, a_client, a_provider, redeem, refused, said
from tests.support.saml import SAML, encoded


@pytest.fixture
async def ready(installation: Installation) -> Installation:
    await a_provider(installation)
    await a_client(installation)
    return installation


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"no XML",
        b"<a/>",
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b"<?xml version='1.0' encoding='utf-7'?><a/>",
        b"\xff\xfe<a/>",
        b"<a><!-- --></a>",
        b"<a>" * 10_000,
        f'<saml:Assertion xmlns:saml="{SAML}" Version="2.0"/>'.encode(),
        f'<saml:Assertion xmlns:saml="{SAML}" Version="2.0" ID="_1"><Signature '
        'xmlns="http://www.w3.org/2000/09/xmldsig#"/></saml:Assertion>'.encode(),
        f'<saml:EncryptedAssertion xmlns:saml="{SAML}"/>'.encode(),
        b'<p:Response xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol"/>',
    ],
)
async def test_what_is_no_signed_assertion_is_refused(ready: Installation, document: bytes):
    answer = await redeem(ready, encoded(document) or "-")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("text", ["a+b/", "a b", "=", "é", "a"])
async def test_what_is_not_base64url_is_refused(ready: Installation, text: str):
    assert "base64url" in await refused(ready, text)


def tampered(document: bytes) -> bytes:
    return document.replace(b"Alice@", b"Admin@")


def stripped(document: bytes) -> bytes:
    begin, end = (
        document.index(b"<ds:Signature"),
        document.index(b"</ds:Signature>") + len(b"</ds:Signature>"),
    )
    return document[:begin] + document[end:]


def wrapped_in_advice(document: bytes) -> bytes:
    """The signed one inside of another that says something else."""
    outer = said(id="_2", name="admin").text().encode()
    return outer.replace(b"<saml:Subject>", b"<saml:Advice>" + document + b"</saml:Advice><saml:Subject>")


def with_its_signature(document: bytes) -> bytes:
    """Somebody else's words with the signature of the first, which refers to the original inside of it."""
    begin, end = (
        document.index(b"<ds:Signature"),
        document.index(b"</ds:Signature>") + len(b"</ds:Signature>"),
    )
    signature, original = document[begin:end], stripped(document)
    moved = signature.replace(b"</ds:Signature>", b"<ds:Object>" + original + b"</ds:Object></ds:Signature>")
    outer = said(id="_2", name="admin").text().encode()
    return outer.replace(b"<saml:Subject>", moved + b"<saml:Subject>")


def with_its_identifier_twice(document: bytes) -> bytes:
    """The same, with the identifier of the original on the outside too."""
    return with_its_signature(document).replace(b'ID="_2"', b'ID="_a1"')


def with_a_comment_in_the_name(document: bytes) -> bytes:
    """Canonical XML drops comments, so the signature still holds."""
    return document.replace(b"Alice@partner", b"Alice@<!-- -->partner")


@pytest.mark.parametrize(
    "attack",
    [
        tampered,
        stripped,
        wrapped_in_advice,
        with_its_signature,
        with_its_identifier_twice,
        with_a_comment_in_the_name,
    ],
)
async def test_a_document_that_was_worked_on_is_refused(
    ready: Installation, attack: Callable[[bytes], bytes]
):
    document = IDP.signed(said().text())
    assert attack(document) != document

    await refused(ready, encoded(attack(document)))
    assert (await redeem(ready, encoded(document))).status_code == 200  # it was good


async def test_a_signature_of_another_key_is_refused(ready: Installation):
    assert "not by a certificate of" in await refused(ready, OTHER.assertion(said()))


@pytest.mark.parametrize(
    "how",
    [
        {"c14n": "http://www.w3.org/2001/10/xml-exc-c14n#WithComments"},
        {"c14n": "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"},
        {"digest_algorithm": DigestAlgorithm.SHA224},
        {"method": SignatureMethod.ECDSA_SHA224},
    ],
    ids=str,
)
async def test_weak_or_unusual_signatures_are_refused(ready: Installation, how: dict[str, Any]):
    await refused(ready, encoded(IDP.signed(said().text(), **how)))
