"""POST /oauth2/introspect (RFC 7662), and what makes a token good."""

import base64
from datetime import timedelta
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from tests.http.oauth.installation import NOON, PUBLIC_URL, SECRET, Installation
from tests.support.identity import BOX

from ostiary.oauth import ScopeSpec, delete_scope, judge_access_token, put_scope
from ostiary.oauth.keys import Keys, organization_keys
from ostiary.oauth.settings import TokenSettings
from ostiary.oauth.tokens.jwt import key_id_of, sign_jwt
from ostiary.organizations import Organization, narrow, put

INACTIVE = {"active": False}


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
async def test_a_good_token_is_described(on_both: Installation, token_format: str):
    """RFC 7662 §2.2."""
    await on_both.a_client(token_format=token_format)
    await on_both.a_user()
    body = await on_both.password_token()

    told = await on_both.introspect(body["access_token"])

    assert told.pop("jti") != told.pop("sub")
    assert told == {
        "active": True,
        "token_type": "Bearer",
        "iss": f"{PUBLIC_URL}/t/my_company",
        "aud": f"{PUBLIC_URL}/t/my_company/gateway",
        "client_id": "mobile",
        "scope": "default",
        "iat": int(NOON.timestamp()),
        "exp": int(NOON.timestamp()) + 3600,
        "aut": "APPLICATION_USER",
        "org": "my_company",
        "username": "bob@my_company",
    }


async def test_a_refresh_token_is_described_to_its_own_client_only(installation: Installation):
    await installation.a_client()
    await installation.a_client("other")
    await installation.a_user()
    token = (await installation.password_token())["refresh_token"]

    told = await installation.introspect(token)

    assert told.pop("sub")
    assert told == {
        "active": True,
        "iss": f"{PUBLIC_URL}/t/my_company",
        "client_id": "mobile",
        "scope": "default",
        "exp": int(NOON.timestamp()) + 86_400,
        "username": "bob@my_company",
    }
    assert await installation.introspect(token, by="other") == INACTIVE


async def test_a_client_of_another_organization_learns_nothing(installation: Installation):
    """Tenant isolation."""
    other = Organization("0" * 36, "acme", "Acme")
    await installation.database.write(lambda c: put(c, other))
    await installation.a_client()
    await installation.a_client("acme_app", other)
    token = (await installation.token(grant_type="client_credentials")).json()["access_token"]

    assert await installation.introspect(token, by="acme_app") == INACTIVE


async def test_introspection_is_for_confidential_clients(installation: Installation):
    """RFC 7662 §2.1: against scanning for tokens."""
    await installation.a_client("public", is_public=True, grant_types=frozenset())

    answer = await installation.http.post("/oauth2/introspect", data={"token": "x", "client_id": "public"})

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
async def test_a_token_ends_to_the_second(installation: Installation, token_format: str):
    await installation.a_client(token_format=token_format)
    token = (await installation.token(grant_type="client_credentials")).json()["access_token"]
    installation.clock.advance(timedelta(seconds=3599))
    before = await installation.introspect(token)
    installation.clock.advance(timedelta(seconds=1))

    assert (before["active"], await installation.introspect(token)) == (True, INACTIVE)


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
@pytest.mark.parametrize("what", ["client", "subject", "scope", "organization", "other client"])
async def test_a_token_dies_with_what_it_rests_on(installation: Installation, token_format: str, what: str):
    """Changes within a second: a token issued before a narrowing is refused, by counter and not by time."""
    await installation.a_client(token_format=token_format)
    await installation.a_user()
    await installation.a_scope("orders:read", everyone=True)
    body = await installation.password_token(scope="orders:read")
    subject = (await installation.introspect(body["access_token"]))["sub"]
    here = installation.organization.id
    concerned = {
        "client": ("client", "mobile"),
        "subject": ("subject", subject),
        "scope": ("scope", "orders:read"),
        "organization": ("organization", here),
        "other client": ("client", "other"),
    }[what]

    await installation.database.write(lambda c: narrow(c, here, *concerned))

    told = await installation.introspect(body["access_token"])
    assert told["active"] is (what == "other client")
    later = await installation.password_token(scope="orders:read")
    assert (await installation.introspect(later["access_token"]))["active"] is True


async def test_taking_a_scope_from_everyone_refuses_its_tokens(on_both: Installation):
    await on_both.a_client()
    await on_both.a_scope("orders:read", everyone=True)
    wide = ScopeSpec("orders:read", description="Read", everyone=True)
    narrow_ = ScopeSpec("orders:read", description="Read", roles=frozenset({"clerk"}))
    token = (await on_both.token(grant_type="client_credentials", scope="orders:read")).json()["access_token"]
    here, active = on_both.organization.id, []

    for spec in (wide, narrow_):
        await on_both.database.write(lambda c, spec=spec: put_scope(c, here, spec))
        active.append((await on_both.introspect(token))["active"])

    assert active == [True, False]


async def test_a_removed_scope_takes_its_tokens_along(installation: Installation):
    await installation.a_client()
    await installation.a_scope("orders:read", everyone=True)
    token = (await installation.token(grant_type="client_credentials", scope="orders:read")).json()[
        "access_token"
    ]

    await installation.database.write(lambda c: delete_scope(c, installation.organization.id, "orders:read"))

    assert await installation.introspect(token) == INACTIVE


async def our_private_key(installation: Installation) -> ec.EllipticCurvePrivateKey:
    here = installation.organization.id
    key = (await installation.database.read(lambda c: organization_keys(c, here)))[0]
    private = load_der_private_key(
        BOX.open(key.private_sealed, f"signing_keys:private_sealed:{key.kid}"), None
    )
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return private


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


async def test_forged_tokens_are_nothing(on_both: Installation):
    """RFC 8725 §3.1: none, HS256 with the public key, another key, another type, hostile headers."""
    await on_both.a_client()
    good = (await on_both.token(grant_type="client_credentials")).json()["access_token"]
    head, payload, signature = good.split(".")
    header = orjson.loads(base64.urlsafe_b64decode(head + "=="))
    claims = orjson.loads(base64.urlsafe_b64decode(payload + "=="))
    jwk = (await on_both.http.get("/t/my_company/jwks")).json()["keys"][0]
    ours = await our_private_key(on_both)
    stranger = ec.generate_private_key(ec.SECP256R1())
    hs256 = OctKey.import_key(orjson.dumps(jwk))
    forged = {
        "none": f"{encoded({**header, 'alg': 'none'})}.{payload}.",
        "no signature": f"{head}.{payload}.",
        "HS256": jwt.encode({**header, "alg": "HS256"}, claims, hs256, algorithms=["HS256"]),
        "another key": sign_jwt(stranger, header, claims),
        "own jwk": jwt.encode(
            {**header, "jwk": ECKey.import_key(stranger).as_dict(private=False)},
            claims,
            ECKey.import_key(stranger),
        ),
        "no kid": sign_jwt(stranger, {"alg": "ES256", "typ": "at+jwt"}, claims),
        "hostile kid": sign_jwt(stranger, {**header, "kid": "' OR 1=1 --\0"}, claims),
        "NUL kid": sign_jwt(stranger, {**header, "kid": "\0"}, claims),
        "other claims": f"{head}.{encoded({**claims, 'scope': 'orders:write'})}.{signature}",
        "crit": sign_jwt(ours, {**header, "crit": ["exp"], "exp": 1}, claims),
        "b64": sign_jwt(ours, {**header, "crit": ["b64"], "b64": False}, claims),
        "a kid that is a list": sign_jwt(ours, {**header, "kid": [header["kid"]]}, claims),
        "not JSON": f"{head}.AAAA.{signature}",
        "not base64": f"!.{payload}.{signature}",
        "trailing newline": good + "\n",
    }

    told = {name: await on_both.introspect(token) for name, token in forged.items()}

    assert told == dict.fromkeys(forged, INACTIVE)
    assert (await on_both.introspect(good))["active"] is True


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": f"{PUBLIC_URL}/gateway"},
        {"org": "default"},
        {"exp": "soon"},
        {"exp": 1e300},
        {"aut": "ADMINISTRATOR"},
        {"scope": None},
        {"epoch": "9"},
        {"jti": None},
        {"sub": None},
    ],
    ids=str,
)
async def test_our_own_key_does_not_make_any_claims_ours(installation: Installation, change: dict[str, Any]):
    """RFC 9068 §4: issuer, audience and the form of every claim are checked too."""
    await installation.a_client()
    good = (await installation.token(grant_type="client_credentials")).json()["access_token"]
    claims = orjson.loads(base64.urlsafe_b64decode(good.split(".")[1] + "=="))
    keys = Keys(BOX, TokenSettings(), acknowledged=lambda _connection, _kid: True)
    here = installation.organization.id
    key = (await installation.database.read(lambda c: organization_keys(c, here)))[0]

    told = await installation.introspect(keys.sign(key, {**claims, **change}))

    assert told == INACTIVE
    assert (await installation.introspect(keys.sign(key, claims)))["active"] is True


async def test_a_token_of_another_type_is_no_access_token(installation: Installation):
    """RFC 9068 §4: `typ` is at+jwt."""
    await installation.a_client()
    good = (await installation.token(grant_type="client_credentials")).json()["access_token"]
    claims = orjson.loads(base64.urlsafe_b64decode(good.split(".")[1] + "=="))
    ours = await our_private_key(installation)
    header = {"alg": "ES256", "kid": key_id_of(good)}

    told = await installation.introspect(sign_jwt(ours, {**header, "typ": "JWT"}, claims))

    assert told == INACTIVE


async def test_other_slices_verify_through_one_function(installation: Installation):
    await installation.a_client()
    token = (await installation.token(grant_type="client_credentials")).json()["access_token"]

    found = await installation.database.read(lambda c: judge_access_token(c, BOX, token, PUBLIC_URL))

    assert found is not None
    assert found.is_good(installation.clock())
    claims = found.claims
    assert (claims.client_id, claims.organization.name, claims.subject) == ("mobile", "my_company", "mobile")


async def test_introspection_is_never_cached(installation: Installation):
    await installation.a_client()

    answer = await installation.http.post("/oauth2/introspect", data={"token": "x"}, auth=("mobile", SECRET))

    assert (answer.json(), answer.headers["cache-control"]) == (INACTIVE, "no-store")
