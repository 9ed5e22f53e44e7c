"""JWT access tokens at the node: what is accepted, and the vectors of JOSE confusion that are not."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from joserfc import jwe, jws
from joserfc.jwk import ECKey, OctKey
from tests.unit.gateway.builders import (
    NOW,
    OTHER_KEY,
    SIGNING_KEY,
    a_gateway_plan,
    a_token,
    claims,
    public,
)

from ostiary.gateway.node.tokens import (
    Claims,
    InvalidToken,
    UnknownKey,
    looks_like_a_jwt,
    may_be_opaque,
    verify,
)
from ostiary.gateway.plan import Key

FIND = a_gateway_plan().keys.get


def encoded(document: Any) -> str:
    text = document if isinstance(document, str) else json.dumps(document)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def signed_by_hand(header: str, payload: str = "", key: ECKey = SIGNING_KEY) -> str:
    """A JWS whose header is exactly this text."""
    good = a_token(key).split(".")
    signing_input = f"{encoded(header)}.{payload or good[1]}"
    signature = key.raw_value.sign  # type: ignore[union-attr]
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.hashes import SHA256

    r, s = utils.decode_dss_signature(signature(signing_input.encode(), ec.ECDSA(SHA256())))
    raw = base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=").decode()
    return f"{signing_input}.{raw}"


def test_a_token_of_ours_is_read() -> None:
    assert verify(a_token(nbf=NOW - 10), FIND) == Claims(
        issuer="https://ostiary.example/t/my_company",
        audience=frozenset({"https://ostiary.example/t/my_company/gateway"}),
        subject="5b0e5c0e-0000-4000-8000-000000000001",
        client_id="mobile",
        scopes=("orders:read", "orders:write"),
        expires_at=NOW + 3600,
        not_before=NOW - 10,
        token_id="jti-1",
        family="family-1",
        usertype="APPLICATION_USER",
        organization="my_company",
        store="EXTERNAL",
        username="testuser",
        epoch=5,
        kid="k1",
    )


def test_the_hand_made_token_of_this_suite_is_good() -> None:
    """Otherwise the refusals below would prove nothing."""
    token = signed_by_hand('{"alg":"ES256","typ":"at+jwt","kid":"k1"}')

    assert verify(token, FIND).client_id == "mobile"


def test_an_unsigned_token_is_refused() -> None:
    """RFC 8725 §2.1: alg none."""
    header, payload = encoded({"alg": "none", "typ": "at+jwt", "kid": "k1"}), a_token().split(".")[1]

    for token in (f"{header}.{payload}.", f"{header}.{payload}.AA"):
        with pytest.raises(InvalidToken):
            verify(token, FIND)


@pytest.mark.parametrize("secret", ["pem", "jwk", "x", "empty"])
def test_a_token_signed_with_the_public_key_as_a_shared_secret_is_refused(secret: str) -> None:
    """RFC 8725 §2.1: HS256 over what everybody can download."""
    secrets = {
        "pem": SIGNING_KEY.as_pem(private=False),
        "jwk": json.dumps(public(SIGNING_KEY)).encode(),
        "x": str(public(SIGNING_KEY)["x"]).encode(),
        "empty": b"",
    }
    signing_input = f"{encoded({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'k1'})}.{a_token().split('.')[1]}"
    mac = hmac.digest(secrets[secret], signing_input.encode(), "sha256")
    signature = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()

    with pytest.raises(InvalidToken):
        verify(f"{signing_input}.{signature}", FIND)


@pytest.mark.parametrize(
    "header",
    [
        '{"alg":"ES256","typ":"at+jwt","kid":"k1","crit":["exp"],"exp":1}',
        '{"alg":"ES256","typ":"at+jwt","kid":"k1","crit":[]}',
        '{"alg":"ES256","typ":"at+jwt","kid":"k1","b64":false}',
        '{"alg":"ES256","typ":"at+jwt","kid":"k1","alg":"ES256"}',
        '{"alg":"ES256","typ":"at+jwt","kid":["k1"]}',
        '{"alg":"ES256","typ":"at+jwt","kid":{"k1":1}}',
        '{"alg":"ES256","typ":"at+jwt","kid":null}',
        '{"alg":"ES256","typ":"at+jwt"}',
        '{"alg":"ES256","kid":"k1"}',
        '{"alg":"ES256","typ":"JWT","kid":"k1"}',
        '{"alg":"ES256","typ":"backend+jwt","kid":"k1"}',
        '{"alg":"ES256","typ":"logout+jwt","kid":"k1"}',
        '{"alg":"ES384","typ":"at+jwt","kid":"k1"}',
        '{"alg":["ES256"],"typ":"at+jwt","kid":"k1"}',
        '{"alg":"es256","typ":"at+jwt","kid":"k1"}',
        '["ES256"]',
        '"at+jwt"',
        "null",
        "{",
    ],
)
def test_a_header_that_says_anything_else_is_refused(header: str) -> None:
    """RFC 8725 §3.1, §3.11; RFC 7515 §4.1.11; RFC 9068 §4."""
    with pytest.raises(InvalidToken):
        verify(signed_by_hand(header), FIND)


@pytest.mark.parametrize("header", ["[" * 3_000, '{"kid":' * 1_500])
def test_a_header_nested_without_end_is_refused_and_no_outage(header: str) -> None:
    with pytest.raises(InvalidToken):
        verify(f"{encoded(header)}.e30.c2ln", FIND)


@pytest.mark.parametrize(
    "kid", ["../../etc/passwd", "k1' OR '1'='1", "k1\x00", "", "K1", "http://evil.example/k1", "k" * 10_000]
)
def test_a_hostile_kid_is_only_an_unknown_key(kid: str) -> None:
    """RFC 8725 §3.10: a kid is a name to look up and nothing else."""
    with pytest.raises(UnknownKey):
        verify(a_token(header={"kid": kid}), FIND)


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
def test_a_key_that_the_token_brings_along_is_never_used(name: str) -> None:
    """RFC 8725 §3.10."""
    theirs = ECKey.generate_key("P-256")
    brought: dict[str, Any] = {
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/cert",
        "jwk": theirs.as_dict(private=False),
        "x5c": ["MIIB"],
    }
    header = json.dumps({"alg": "ES256", "typ": "at+jwt", "kid": "k1", name: brought[name]})

    with pytest.raises(InvalidToken):
        verify(signed_by_hand(header, key=theirs), FIND)


def test_a_token_signed_by_another_known_key_is_refused() -> None:
    with pytest.raises(InvalidToken):
        verify(a_token(OTHER_KEY), FIND)


def test_a_changed_payload_is_refused() -> None:
    header, _, signature = a_token().split(".")

    with pytest.raises(InvalidToken):
        verify(f"{header}.{encoded(claims(scope='everything'))}.{signature}", FIND)


def test_a_signature_of_another_length_is_refused() -> None:
    """ECDSA in DER form, cut or doubled is no JWS signature (RFC 7518 §3.4)."""
    header, payload, signature = a_token().split(".")

    for changed in (signature[:-4], signature + signature, "AA", "A" * 86):
        with pytest.raises(InvalidToken):
            verify(f"{header}.{payload}.{changed}", FIND)


def test_an_encrypted_token_is_refused() -> None:
    """RFC 8725 §2.6: nothing is unwrapped."""
    key = OctKey.generate_key(128)
    wrapped = jwe.encrypt_compact({"alg": "A128KW", "enc": "A128GCM"}, a_token(), key)

    with pytest.raises(InvalidToken):
        verify(wrapped, FIND)


def test_a_json_serialised_token_is_refused() -> None:
    header, payload, signature = a_token().split(".")
    document = {"protected": header, "payload": payload, "signature": signature}

    with pytest.raises(InvalidToken):
        verify(json.dumps(document), FIND)


@pytest.mark.parametrize("kind", ["oct", "P-384", "RSA", "alg"])
def test_a_key_of_another_kind_verifies_nothing(kind: str) -> None:
    keys: dict[str, dict[str, Any]] = {
        "oct": {"kty": "oct", "k": "AAAA"},
        "P-384": dict(ECKey.generate_key("P-384").as_dict(private=False)),
        "RSA": {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        "alg": {**public(SIGNING_KEY), "alg": "ES256K"},
    }

    with pytest.raises(InvalidToken):
        verify(a_token(), lambda _: Key("k1", "org-my_company", keys[kind], "active"))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"exp": "never"},
        {"exp": True},
        {"jti": None},
        {"jti": 5},
        {"sub": ""},
        {"client_id": None},
        {"aud": None},
        {"aud": [5]},
        {"iss": None},
        {"org": None},
        {"epoch": None},
        {"epoch": "5"},
        {"epoch": True},
        {"scope": ["orders:read"]},
        {"aut": None},
        {"nbf": "now"},
    ],
)
def test_claims_that_are_missing_or_of_another_type_are_refused(changes: dict[str, Any]) -> None:
    """RFC 9068 §2.2 and ours."""
    with pytest.raises(InvalidToken):
        verify(a_token(**changes), FIND)


@pytest.mark.parametrize("payload", ["[]", '"x"', "null", "{", '{"sub":"a","sub":"b"}', "\xff"])
def test_a_payload_that_is_no_object_is_refused(payload: str) -> None:
    token = jws.serialize_compact(
        {"alg": "ES256", "typ": "at+jwt", "kid": "k1"}, payload.encode("latin-1"), SIGNING_KEY, ["ES256"]
    )

    with pytest.raises(InvalidToken):
        verify(token, FIND)


@pytest.mark.parametrize(
    "text", ["", "a", "a.b", "a.b.c", "...", "a.b.c.d.e", "é.é.é", "a" * 20_000, "a b.c.d"]
)
def test_text_that_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidToken):
        verify(text, FIND)


def test_only_what_could_be_an_opaque_token_is_asked_about() -> None:
    opaque = "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

    assert (looks_like_a_jwt(opaque), may_be_opaque(opaque)) == (False, True)
    assert looks_like_a_jwt(a_token())
    for not_ours in ("", "short", "with blank in it so it is long", "x" * 2_000, "ü" * 40, "a\nb" * 20):
        assert not may_be_opaque(not_ours)
