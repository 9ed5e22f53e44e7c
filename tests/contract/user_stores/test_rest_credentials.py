"""How login services know us: tokens, signatures, certificates, and the way through a proxy."""

import base64
import hashlib
import hmac
import re
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import ECKey
from tests.support.certificates import Authority
from tests.support.http_service import Answer, Seen
from tests.support.login_shapes import LEGACY, Stores, ask, legacy

from ostiary.foundation.certificates import Purpose
from ostiary.identity.user_stores.contract import LoginService


async def test_it_knows_us_by_a_token(shaped: Stores):
    service = await shaped.service(
        lambda r: legacy(r) if r.headers["authorization"] == "Bearer t0ken" else (401, b"")
    )

    assert (
        await ask(shaped.store(url=service.url, auth={"bearer": {"token": "t0ken"}}, **LEGACY)) == "accepted"
    )
    assert (
        await ask(shaped.store(url=service.url, auth={"bearer": {}}, **LEGACY))
        == "unavailable: its_password_is_not_set"
    )


async def test_it_knows_us_by_a_signed_token(shaped: Stores):
    key = ECKey.generate_key("P-256")

    def answer(request: Seen) -> Answer:
        token = jwt.decode(
            request.headers["authorization"].removeprefix("Bearer "), key, algorithms=["ES256"]
        )
        assert token.header["kid"] == "k1"
        assert (token.claims["iss"], token.claims["aud"]) == ("ostiary", "legacy")
        assert token.claims["exp"] - token.claims["iat"] == 60
        return legacy(request)

    service = await shaped.service(answer)
    pem = key.as_pem(private=True).decode()
    auth = {"signed_token": {"key": pem, "key_id": "k1", "audience": "legacy"}}

    assert await ask(shaped.store(url=service.url, auth=auth, **LEGACY)) == "accepted"
    broken = {"signed_token": {"key": "no key"}}
    assert (
        await ask(shaped.store(url=service.url, auth=broken, **LEGACY))
        == "unavailable: its_password_is_not_set"
    )


async def test_it_knows_us_by_a_signature_of_each_request(shaped: Stores):
    """RFC 9421, put together again as the service's author would."""
    secret = "a-secret-of-the-service"

    def answer(request: Seen) -> Answer:
        digest = f"sha-256=:{base64.b64encode(hashlib.sha256(request.body).digest()).decode()}:"
        parameters = request.headers["signature-input"].removeprefix("ostiary=")
        assert re.fullmatch(
            r'\("@method" "@target-uri" "content-digest"\);created=\d+;keyid="us";alg="hmac-sha256"',
            parameters,
        )
        base = (
            f'"@method": POST\n"@target-uri": {service.url}/\n"content-digest": {digest}\n'
            f'"@signature-params": {parameters}'
        )
        made = base64.b64encode(hmac.digest(secret.encode(), base.encode(), "sha256")).decode()
        is_ours = (
            request.headers["signature"] == f"ostiary=:{made}:"
            and request.headers["content-digest"] == digest
        )
        return legacy(request) if is_ours else (401, b"")

    service = await shaped.service(answer)

    def signed(with_secret: str) -> LoginService:
        return shaped.store(
            url=service.url, auth={"signature": {"key_id": "us", "secret": with_secret}}, **LEGACY
        )

    assert await ask(signed(secret)) == "accepted"
    assert await ask(signed("another-secret-of-it")) == "unavailable: status_401"


async def test_it_is_reached_with_its_own_authority_and_our_certificate(shaped: Stores, tmp_path: Path):
    theirs, ours = Authority(), Authority()
    tls = theirs.server(tmp_path, "127.0.0.1", clients=ours)
    service = await shaped.service(legacy, tls=tls)
    certificate, key = ours.issue("gateway", purpose=Purpose.CLIENT)
    mine = {"certificate": certificate, "key": key}
    usual = {"url": service.url, **LEGACY}

    assert await ask(shaped.store(ca=theirs.ca, client_certificate=mine, **usual)) == "accepted"
    assert (await ask(shaped.store(ca=theirs.ca, **usual))).startswith("unavailable: ")
    assert "its certificate is not trusted" in await ask(shaped.store(client_certificate=mine, **usual))
    without_key = {"certificate": certificate}
    said = await ask(shaped.store(ca=theirs.ca, client_certificate=without_key, **usual))
    assert said == "unavailable: its_password_is_not_set"


async def test_it_is_reached_through_a_proxy(shaped: Stores, tmp_path: Path):
    authority = Authority()
    service = await shaped.service(legacy, tls=authority.server(tmp_path, "127.0.0.1"))
    proxy = await shaped.proxy(f"Basic {base64.b64encode(b'us:p4ss').decode()}")
    usual = {"url": service.url, "ca": authority.ca, **LEGACY}
    known = {"url": proxy.url, "username": "us", "password": "p4ss"}

    assert await ask(shaped.store(proxy=known, **usual)) == "accepted"
    assert await ask(shaped.store(proxy={"url": proxy.url}, **usual)) == "unavailable: connect"
    assert [seen.method for seen in proxy.seen] == ["CONNECT"] * 2
    assert b"secret" not in b"".join(seen.body for seen in proxy.seen)
