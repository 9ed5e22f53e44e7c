"""Assertions nobody here made: an identity provider of pysaml2, whose signatures are xmlsec1's (RFC 7522)."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import KeySet
from lxml import etree
from saml2 import server as saml2_server
from saml2.config import IdPConfig
from saml2.saml import NAMEID_FORMAT_PERSISTENT, NAMEID_FORMAT_TRANSIENT
from saml2.samlp import NameIDPolicy
from saml2.xmldsig import DIGEST_SHA1, DIGEST_SHA256, SIG_RSA_SHA1, SIG_RSA_SHA256
from tests.support.debian import program
from tests.support.saml import ENTITY, GRANT, SAML, SAMLIssuer, encoded
from tests.system.pages import blocks
from tests.system.server import Server

PAGE = "take-assertions-of-a-saml-provider"
SECRETS = {"OWNER_PASSWORD": "a-password-of-an-owner", "MOBILE_SECRET": "a-secret-of-a-client"}
MAIL = "urn:oid:0.9.2342.19200300.100.1.3"
GROUPS = "urn:oid:1.3.6.1.4.1.5923.1.5.1.1"  # isMemberOf
PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
METADATA = """\
<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{issuer}">
  <SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <AssertionConsumerService index="0" Location="{issuer}/oauth2/token"
      Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"/>
  </SPSSODescriptor>
</EntityDescriptor>"""


@dataclass
class Partner:
    """The identity provider of an organization, and an application that brings its assertions."""

    idp: saml2_server.Server
    pem: str
    http: httpx2.Client
    issuer: str

    def found_in_a_response(
        self, name: str = "Assertion", name_id: str = NAMEID_FORMAT_PERSISTENT, **how: Any
    ) -> etree._Element:
        """That child of a Response about Alice, as an application takes it out."""
        response = self.idp.create_authn_response(
            {"mail": ["Alice@partner.example"], "isMemberOf": ["sales"]},
            in_response_to=None,
            destination=f"{self.issuer}/oauth2/token",
            sp_entity_id=self.issuer,
            name_id_policy=NameIDPolicy(format=name_id),
            userid="alice",
            authn={"class_ref": PASSWORD},
            sign_assertion=True,
            **{"sign_alg": SIG_RSA_SHA256, "digest_alg": DIGEST_SHA256, **how},
        )
        (found,) = etree.fromstring(str(response).encode()).iterchildren(f"{{{SAML}}}{name}")
        return found

    def alone(self) -> bytes:
        """One that was signed without a Response around it, as it is given to who asks for its ID."""
        asked = self.found_in_a_response().get("ID")
        return str(self.idp.create_assertion_id_request_response(asked)).encode()

    def redeem(self, assertion: bytes) -> httpx2.Response:
        return self.http.post(
            "/t/my_company/oauth2/token",
            data={"grant_type": GRANT, "assertion": encoded(assertion), "scope": "orders:write"},
            auth=("mobile", SECRETS["MOBILE_SECRET"]),
        )

    def refused(self, assertion: etree._Element) -> str:
        answer = self.redeem(etree.tostring(assertion))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), answer.text
        return str(answer.json()["error_description"])

    def claims(self, assertion: bytes) -> dict[str, Any]:
        answer = self.redeem(assertion)
        assert answer.status_code == 200, answer.text
        keys = KeySet.import_key_set(self.http.get("/t/my_company/oauth2/jwks").json())
        return jwt.decode(answer.json()["access_token"], keys, algorithms=["ES256"]).claims


@pytest.fixture(scope="module")
def partner() -> Iterator[Partner]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    server = Server(directory / "data").start()
    signer = SAMLIssuer(rsa.generate_private_key(65537, 2048))
    organization(server, directory, signer)
    with server.management() as http:
        issuer = http.get("/t/my_company/.well-known/oauth-authorization-server").json()["issuer"]
        yield Partner(provider(directory, signer, issuer), signer.pem, http, issuer)
    server.stop()
    shutil.rmtree(directory)


def organization(server: Server, directory: Path, signer: SAMLIssuer) -> None:
    """That of the page, with the names that pysaml2 gives to attributes; people are known by their NameID."""
    document = yaml.safe_load(blocks(PAGE, "yaml")[0])
    document["user_stores"][0] |= {"id": None, "username": MAIL, "groups": GROUPS}
    (directory / "organization.yaml").write_text(yaml.safe_dump(document))
    (directory / "partner.pem").write_text(signer.pem)
    done = server.ostiary("apply", "-f", str(directory / "organization.yaml"), **SECRETS)
    assert done.returncode == 0, done.stderr + done.stdout


def provider(directory: Path, signer: SAMLIssuer, issuer: str) -> saml2_server.Server:
    key = directory / "partner.key"
    key.write_bytes(
        signer.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    settings = {
        "entityid": ENTITY,
        "xmlsec_binary": program("xmlsec1", "xmlsec1"),
        "key_file": str(key),
        "cert_file": str(directory / "partner.pem"),
        "metadata": {"inline": [METADATA.format(issuer=issuer)]},
        "service": {"idp": {}},
    }
    return saml2_server.Server(config=IdPConfig().load(settings))


def test_an_assertion_that_was_signed_alone_becomes_a_token(partner: Partner):
    claims = partner.claims(partner.alone())

    assert (claims["store"], claims["username"]) == ("PARTNER", "alice@partner.example")
    assert claims["scope"] == "orders:write"


def test_so_does_one_out_of_a_response_and_it_is_the_same_person(partner: Partner):
    """Exclusive canonicalization: what the Response declares comes along and changes nothing."""
    found = etree.tostring(partner.found_in_a_response())

    claims = partner.claims(found)

    assert b"urn:oasis:names:tc:SAML:2.0:protocol" in found
    assert (claims["store"], claims["username"]) == ("PARTNER", "alice@partner.example")
    assert claims["scope"] == "orders:write"
    assert claims["sub"] == partner.claims(partner.alone())["sub"]


@pytest.mark.parametrize("weak", [{"sign_alg": SIG_RSA_SHA1}, {"digest_alg": DIGEST_SHA1}])
def test_sha_1_is_refused(partner: Partner, weak: dict[str, str]):
    assert "with SHA-256 or longer" in partner.refused(partner.found_in_a_response(**weak))


def test_a_name_that_was_changed_after_signing_is_refused(partner: Partner):
    assertion = partner.found_in_a_response()
    (name,) = assertion.iter(f"{{{SAML}}}NameID")
    name.text = "mallory"

    assert "signature" in partner.refused(assertion)


def test_a_transient_name_is_refused(partner: Partner):
    assertion = partner.found_in_a_response(name_id=NAMEID_FORMAT_TRANSIENT)

    assert "a NameID that is not transient was expected" in partner.refused(assertion)


def test_an_encrypted_assertion_is_refused(partner: Partner):
    assertion = partner.found_in_a_response(
        "EncryptedAssertion", encrypt_assertion=True, encrypt_cert_assertion=partner.pem
    )

    assert partner.refused(assertion) == "an assertion that is not encrypted was expected"
