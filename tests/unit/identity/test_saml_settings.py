"""Certificates of a SAML identity provider: what verifies nothing, or too little, is none."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.saml import ENTITY, a_certificate

from ostiary.identity import InvalidUserStore, read_user_store_settings

NOW = datetime(2031, 5, 1, tzinfo=UTC)
P256 = bytes.fromhex("2a8648ce3d030107")
RSA = rsa.generate_private_key(65537, 1024)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def pem(key: Key, change: Callable[[bytes], bytes] = lambda der: der) -> str:
    der = a_certificate(key, NOW, NOW + timedelta(days=1)).public_bytes(Encoding.DER)
    return ssl.DER_cert_to_PEM_cert(change(der))


@pytest.mark.parametrize(
    "certificate",
    [
        "none",
        "",
        pem(RSA),
        pem(ec.generate_private_key(ec.SECP224R1())),
        pem(ec.generate_private_key(ec.SECP256R1()), lambda der: der.replace(P256, P256[:-1] + b"\x7f")),
        pem(ec.generate_private_key(ec.SECP256R1()), lambda der: der[:12] + b"\x07" + der[13:]),
        pem(ec.generate_private_key(ec.SECP256R1())) * 2,
    ],
    ids=["text", "empty", "short RSA", "short curve", "unknown curve", "unknown version", "two"],
)
def test_what_is_no_good_certificate_is_refused_by_its_place(certificate: str):
    settings = read_user_store_settings("saml", {"entity_id": ENTITY, "certificates": [certificate]})

    with pytest.raises(InvalidUserStore) as refused:
        settings.check(None)

    assert refused.value.field == "certificates.0"
