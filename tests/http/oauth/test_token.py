"""POST /oauth2/token: the request, the client, and the two grants that need no refresh token."""

import base64
from datetime import timedelta
from typing import Any

import orjson
import pytest
from tests.http.oauth.installation import NOON, PUBLIC_URL, Installation
from tests.support.identity import PASSWORD

from ostiary.oauth import Validity
from ostiary.oauth.keys import find_public_key
from ostiary.oauth.tokens.jwt import key_id_of, read_jwt
from ostiary.organizations import Organization, put
from ostiary.permissions import a_client, a_group, a_user

WRONG_PASSWORD = {"error": "invalid_grant", "error_description": "the user name or password is not right"}


async def claims_of(installation: Installation, token: str) -> dict[str, Any]:
    key = await installation.database.read(lambda c: find_public_key(c, key_id_of(token)))
    assert key is not None
    return read_jwt(token, key.jwk)


async def test_a_password_becomes_a_signed_access_token(on_both: Installation):
    """RFC 6749 §4.3, RFC 9068 §2: the claims are exactly these."""
    await on_both.a_client()
    await on_both.a_user()

    answer = await on_both.token(grant_type="password", username="bob@my_company", password=PASSWORD)

    body = answer.json()
    token, refresh_token = body.pop("access_token"), body.pop("refresh_token")
    assert body == {"token_type": "Bearer", "expires_in": 3600, "scope": "default"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert len(refresh_token) == 43
    header = orjson.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    assert header == {"alg": "ES256", "typ": "at+jwt", "kid": key_id_of(token)}
    claims = await claims_of(on_both, token)
    assert len({claims.pop("jti"), claims.pop("sub"), claims.pop("family")}) == 3
    assert claims == {
        "iss": f"{PUBLIC_URL}/t/my_company",
        "aud": f"{PUBLIC_URL}/t/my_company/gateway",
        "client_id": "mobile",
        "scope": "default",
        "iat": int(NOON.timestamp()),
        "exp": int(NOON.timestamp()) + 3600,
        "aut": "APPLICATION_USER",
        "org": "my_company",
        "store": "PRIMARY",
        "username": "bob",
        "epoch": 1,
    }


async def test_a_client_gets_a_token_for_itself_without_a_refresh_token(on_both: Installation):
    """RFC 6749 §4.4.3, RFC 9068 §2.2: `sub` is the client."""
    await on_both.a_client()

    answer = await on_both.token(grant_type="client_credentials", path="/token")

    body = answer.json()
    claims = await claims_of(on_both, body.pop("access_token"))
    assert body == {"token_type": "Bearer", "expires_in": 3600, "scope": "default"}
    assert claims.pop("jti")
    assert claims == {
        "iss": f"{PUBLIC_URL}/t/my_company",
        "aud": f"{PUBLIC_URL}/t/my_company/gateway",
        "sub": "mobile",
        "client_id": "mobile",
        "scope": "default",
        "iat": int(NOON.timestamp()),
        "exp": int(NOON.timestamp()) + 3600,
        "aut": "APPLICATION",
        "org": "my_company",
        "epoch": 1,
    }


async def test_an_opaque_token_says_nothing_by_itself(on_both: Installation):
    await on_both.a_client(token_format="opaque")
    await on_both.a_user()

    body = await on_both.password_token()

    assert len(body["access_token"]) == 43
    told = await on_both.introspect(body["access_token"])
    assert (told["active"], told["username"], told["aut"]) == (True, "bob@my_company", "APPLICATION_USER")


async def test_a_client_without_the_refresh_grant_gets_no_refresh_token(installation: Installation):
    await installation.a_client(grant_types=frozenset({"password"}))
    await installation.a_user()

    assert set(await installation.password_token()) == {"access_token", "token_type", "expires_in", "scope"}


BAD_REQUESTS = {
    "no grant type": ({}, "invalid_request"),
    "an empty grant type": ({"grant_type": ""}, "invalid_request"),
    "an unknown grant type": ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
    "no user name": ({"grant_type": "password", "password": "x"}, "invalid_request"),
    "an empty password": ({"grant_type": "password", "username": "bob", "password": ""}, "invalid_request"),
    "a NUL in the user name": (
        {"grant_type": "password", "username": "b\0b", "password": "x"},
        "invalid_request",
    ),
    "a NUL in the password": (
        {"grant_type": "password", "username": "bob", "password": "x\0y"},
        "invalid_grant",
    ),
    "a blank password": ({"grant_type": "password", "username": "bob", "password": "  "}, "invalid_grant"),
    "a huge user name": (
        {"grant_type": "password", "username": "b" * 9_000, "password": "x"},
        "invalid_request",
    ),
    "a huge form": ({"grant_type": "password", "username": "b" * 90_000, "password": "x"}, "invalid_request"),
    "a quote in the scope": ({"grant_type": "client_credentials", "scope": 'a"b'}, "invalid_scope"),
    "an umlaut in the scope": ({"grant_type": "client_credentials", "scope": "ä"}, "invalid_scope"),
    "too many scopes": (
        {"grant_type": "client_credentials", "scope": " ".join(map(str, range(101)))},
        "invalid_scope",
    ),
    "a refresh token that is none": ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
    "no refresh token": ({"grant_type": "refresh_token"}, "invalid_request"),
    "a validity_period": ({"grant_type": "client_credentials", "validity_period": "60"}, "invalid_request"),
}


async def test_bad_input_gets_a_400_that_says_why(on_both: Installation):
    """No 500 for anything a client can send, whatever the database makes of it."""
    await on_both.a_client()
    await on_both.a_user()

    answers = {case: await on_both.token(**form) for case, (form, _) in BAD_REQUESTS.items()}

    assert {case: (answer.status_code, answer.json().get("error")) for case, answer in answers.items()} == {
        case: (400, error) for case, (_, error) in BAD_REQUESTS.items()
    }
    assert {answer.headers["cache-control"] for answer in answers.values()} == {"no-store"}


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"grant_type=password&grant_type=password", "application/x-www-form-urlencoded"),
        (b"scope=%FF", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % n for n in range(60)), "application/x-www-form-urlencoded"),
        (b'{"grant_type": "password"}', "application/json"),
        (b"grant_type=password", "text/plain"),
        (b"a%00b=1", "application/x-www-form-urlencoded"),
    ],
)
async def test_a_body_that_is_no_form_is_refused(
    installation: Installation, content: bytes, content_type: str
):
    """RFC 6749 §3.2: parameters are there once, form-encoded UTF-8."""
    answer = await installation.http.post(
        "/oauth2/token", content=content, headers={"Content-Type": content_type}
    )

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_a_grant_takes_a_registration(installation: Installation):
    """RFC 6749 §5.2: the password grant is off unless the client is registered for it."""
    await installation.a_client(grant_types=frozenset({"client_credentials"}))
    await installation.a_user()

    answer = await installation.token(grant_type="password", username="bob", password=PASSWORD)

    assert answer.status_code == 400
    assert answer.json() == {
        "error": "unauthorized_client",
        "error_description": "this client is not registered for this grant type",
    }


@pytest.mark.parametrize("username", ["bob", "nobody", "NOWHERE/bob", "bob@elsewhere"])
async def test_every_refused_login_reads_the_same(installation: Installation, username: str):
    """RFC 6749 §5.2: 400, not 401, and not a word about who exists."""
    await installation.a_client()
    await installation.a_user()

    answer = await installation.token(grant_type="password", username=username, password="wrong")

    assert (answer.status_code, answer.json()) == (400, WRONG_PASSWORD)


async def test_an_unavailable_store_is_503_and_no_wrong_password(installation: Installation):
    await installation.a_client()
    await installation.world.store("http://127.0.0.1:1/authenticate")

    answer = await installation.token(grant_type="password", username="testuser", password="x")

    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


async def test_scopes_are_what_was_asked_registered_and_entitled(on_both: Installation):
    """RFC 6749 §3.3: the response says what was granted; the rest is dropped."""
    await on_both.a_client()
    await on_both.a_user()
    await on_both.a_role("clerk", a_user("bob"))
    await on_both.a_scope("orders:write", roles=["clerk"])
    await on_both.a_scope("orders:read", everyone=True)
    await on_both.a_scope("orders:delete", roles=["boss"])
    await on_both.a_scope("orders:nobody")

    body = await on_both.password_token(
        scope="orders:write orders:read orders:delete orders:nobody unknown internal_x SYSTEM openid default"
    )

    assert body["scope"] == "orders:read orders:write"
    assert (await claims_of(on_both, body["access_token"]))["scope"] == "orders:read orders:write"


async def test_a_role_can_list_a_client_that_acts_for_itself(installation: Installation):
    await installation.a_client()
    await installation.a_role("clerk", a_client("mobile"), a_group("CORP/sales"))
    await installation.a_scope("orders:write", roles=["clerk"])

    answer = await installation.token(grant_type="client_credentials", scope="orders:write")

    assert answer.json()["scope"] == "orders:write"


async def test_an_omitted_scope_is_the_clients_default(installation: Installation):
    await installation.a_scope("orders:read", everyone=True)
    await installation.a_client(default_scope=frozenset({"orders:read"}))

    answer = await installation.token(grant_type="client_credentials")

    assert answer.json()["scope"] == "orders:read"


async def test_a_strict_client_is_told_what_it_may_not_have(installation: Installation):
    await installation.a_scope("orders:read", everyone=True)
    await installation.a_client(strict_scopes=True)

    answer = await installation.token(grant_type="client_credentials", scope="orders:read orders:write")

    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_scope",
        "error_description": "not available to this client or user: orders:write",
    }


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
async def test_a_client_marked_for_it_chooses_its_tokens_life(installation: Installation, token_format: str):
    await installation.a_client(validity=Validity.BOUNDED, token_format=token_format)

    answer = await installation.token(grant_type="client_credentials", validity_period="86400")

    assert answer.json()["expires_in"] == 86_400


@pytest.mark.parametrize("wanted", ["0", "-1", "-2", "99999999", "1.5", "x", "１", "9" * 25])
async def test_a_validity_period_has_bounds(installation: Installation, wanted: str):
    await installation.a_client(validity=Validity.BOUNDED)

    answer = await installation.token(grant_type="client_credentials", validity_period=wanted)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_a_token_without_end_outlives_the_rotation_of_its_key(on_both: Installation):
    """RFC 9068 §4: its key stays published as long as the token lives."""
    await on_both.a_client(validity=Validity.UNLIMITED)
    answer = await on_both.token(grant_type="client_credentials", validity_period="-1")
    assert answer.json()["expires_in"] == 36_500 * 86_400
    here = on_both.organization.id
    await on_both.database.write(lambda c: on_both.server.keys.rotate(c, here, on_both.clock()))
    on_both.clock.advance(timedelta(days=400))
    await on_both.database.write(lambda c: on_both.server.keys.tend(c, here, on_both.clock()))
    on_both.clock.advance(timedelta(days=400))
    await on_both.database.write(lambda c: on_both.server.keys.tend(c, here, on_both.clock()))

    told = await on_both.introspect(answer.json()["access_token"])

    assert told["active"] is True


async def test_another_organizations_client_cannot_use_this_ones_users(installation: Installation):
    """Tenant isolation: the organization is the client's."""
    other = Organization("0" * 36, "acme", "Acme")
    await installation.database.write(lambda c: put(c, other))
    await installation.a_client("acme_app", other)
    await installation.a_user()

    answer = await installation.token(
        "acme_app", grant_type="password", username="bob@my_company", password=PASSWORD
    )

    assert (answer.status_code, answer.json()) == (400, WRONG_PASSWORD)


async def test_the_token_endpoint_takes_post_only(installation: Installation):
    """RFC 6749 §3.2."""
    assert (await installation.http.get("/oauth2/token")).status_code == 405
