"""Signing keys: /oauth2/jwks and rotation with a clock that is told the time."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.http.oauth.installation import PUBLIC_URL, Installation, a_neighbour, an_installation
from tests.support.identity import BOX
from tests.support.saml import GRANT

from ostiary.foundation.database import Database
from ostiary.foundation.events import outbox
from ostiary.oauth import Keys, TokenSettings, public_keys
from ostiary.oauth.tables import signing_keys
from ostiary.oauth.tokens.jwt import key_id_of

ADMIN = {"X-Caller": "admin"}
ROTATE = "/t/my_company/api/oauth/v1/keys/rotate"


async def kid_of_a_new_token(installation: Installation) -> str:
    return key_id_of((await installation.token(grant_type="client_credentials")).json()["access_token"])


async def published(installation: Installation) -> set[str]:
    answer = await installation.http.get("/t/my_company/oauth2/jwks")
    assert answer.headers["cache-control"] == "public, max-age=300"
    return {key["kid"] for key in answer.json()["keys"]}


async def states(installation: Installation) -> dict[str, str]:
    answer = await installation.http.get("/t/my_company/api/oauth/v1/keys", headers=ADMIN)
    return {key["kid"]: key["state"] for key in answer.json()["keys"]}


async def test_the_key_set_is_public_and_only_public(on_both: Installation):
    """RFC 7517 §5, RFC 7518 §6.2: made before anybody could cache an empty one."""
    answer = await on_both.http.get("/t/my_company/jwks")

    key = answer.json()["keys"][0]
    assert len(answer.json()["keys"]) == 1
    assert {len(key.pop("x")), len(key.pop("y"))} == {43}
    assert key == {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": key["kid"]}


async def test_organizations_share_no_key(installation: Installation):
    here = await published(installation)

    default = (await installation.http.get("/oauth2/jwks")).json()["keys"]

    assert here.isdisjoint({key["kid"] for key in default})


async def test_an_unknown_organization_has_no_keys(installation: Installation):
    assert (await installation.http.get("/t/nowhere/oauth2/jwks")).status_code == 404


async def test_a_private_key_is_sealed(on_both: Installation):
    await kid_of_a_new_token(await _with_client(on_both))

    row = await on_both.database.read(lambda c: c.execute(select(signing_keys)).one())

    assert "d" not in row.public_jwk
    assert BOX.open(row.private_sealed, f"signing_keys:private_sealed:{row.kid}")[:1] == b"\x30"


async def test_many_first_requests_make_one_key(on_both: Installation):
    """Safe done twice at once: two workers, one active key."""
    await on_both.a_client()
    async with a_neighbour(on_both) as neighbour:
        kids = await asyncio.gather(*(kid_of_a_new_token(each) for each in [on_both, neighbour] * 6))

    assert len(set(kids)) == 1
    assert await published(on_both) == set(kids)


async def test_a_key_is_announced_then_active_then_retiring_then_gone(on_both: Installation):
    """Published before it signs for longer than a JWKS is cached, and after as long as a token lives."""
    await on_both.a_client()
    old = await kid_of_a_new_token(on_both)

    rotated = await on_both.http.post(ROTATE, headers=ADMIN)

    assert rotated.status_code == 200
    (new,) = await published(on_both) - {old}
    assert await states(on_both) == {old: "active", new: "announced"}
    assert await kid_of_a_new_token(on_both) == old
    on_both.clock.advance(timedelta(seconds=300))
    assert await kid_of_a_new_token(on_both) == old
    on_both.clock.advance(timedelta(seconds=10))
    assert await kid_of_a_new_token(on_both) == new
    assert await states(on_both) == {new: "active", old: "retiring"}
    on_both.clock.advance(timedelta(seconds=3_600))
    assert await published(on_both) == {old, new}
    on_both.clock.advance(timedelta(seconds=10))
    assert await published(on_both) == {new}
    await on_both.database.write(
        lambda c: on_both.server.keys.tend(c, on_both.organization.id, on_both.clock())
    )
    assert await states(on_both) == {new: "active"}


async def test_a_cached_key_set_verifies_every_token_through_a_rotation(on_both: Installation):
    """Whoever caches the JWKS for its whole max-age never meets a key it does not know."""
    await on_both.a_client()
    await kid_of_a_new_token(on_both)
    cached, fetched_at, unknown = await published(on_both), on_both.clock(), []
    await on_both.http.post(ROTATE, headers=ADMIN)

    for _ in range(60):
        on_both.clock.advance(timedelta(seconds=15))
        if on_both.clock() - fetched_at >= timedelta(seconds=300):
            cached, fetched_at = await published(on_both), on_both.clock()
        kid = await kid_of_a_new_token(on_both)
        unknown += [kid] if kid not in cached else []

    assert unknown == []
    assert sorted((await states(on_both)).values()) == ["active", "retiring"]


async def test_announcing_twice_announces_one_key(on_both: Installation):
    answers = await asyncio.gather(*(on_both.http.post(ROTATE, headers=ADMIN) for _ in range(4)))

    assert [answer.status_code for answer in answers] == [200] * 4
    assert sorted((await states(on_both)).values()) == ["active", "announced"]


async def test_many_workers_promote_at_once_and_one_does_it(on_both: Installation):
    await on_both.a_client()
    await on_both.http.post(ROTATE, headers=ADMIN)
    on_both.clock.advance(timedelta(seconds=310))

    async with a_neighbour(on_both) as neighbour:
        kids = await asyncio.gather(*(kid_of_a_new_token(each) for each in [on_both, neighbour] * 6))

    assert len(set(kids)) == 1
    assert sorted((await states(on_both)).values()) == ["active", "retiring"]


async def test_a_key_does_not_sign_before_every_gateway_node_knows_it(database: Database):
    """Changes within a second: `acknowledged` is asked in the transaction that would promote."""
    known: set[str] = set()
    async with an_installation(database) as installation:
        keys = Keys(BOX, TokenSettings(), acknowledged=lambda _connection, kid: kid in known)
        here, now = installation.organization.id, installation.clock()
        await database.write(lambda c: keys.signing_key(c, here, now))
        announced = await database.write(lambda c: keys.rotate(c, here, now))
        late = now + timedelta(hours=5)

        before = await database.write(lambda c: keys.signing_key(c, here, late))
        known.add(announced.kid)
        after = await database.write(lambda c: keys.signing_key(c, here, late))

    assert (before.kid == announced.kid, after.kid == announced.kid) == (False, True)


async def test_rotating_now_ends_every_token_of_the_old_key(on_both: Installation):
    """For compromise: the old key is withdrawn at once; refresh tokens live on."""
    await on_both.a_client()
    await on_both.a_user()
    body = await on_both.password_token()
    old = key_id_of(body["access_token"])
    await on_both.http.post(ROTATE, headers=ADMIN)

    answer = await on_both.http.post(ROTATE, headers=ADMIN, json={"now": True})

    (new,) = (key["kid"] for key in answer.json()["keys"])
    assert new != old
    assert await published(on_both) == {new}
    assert await on_both.introspect(body["access_token"]) == {"active": False}
    assert key_id_of((await on_both.refresh(body["refresh_token"])).json()["access_token"]) == new


async def test_every_change_of_a_key_is_news_for_the_gateway(on_both: Installation):
    await on_both.a_client()
    old = await kid_of_a_new_token(on_both)
    await on_both.http.post(ROTATE, headers=ADMIN)
    on_both.clock.advance(timedelta(seconds=310))
    new = await kid_of_a_new_token(on_both)

    news = await on_both.database.read(
        lambda c: (
            c.execute(select(outbox.c.key).where(outbox.c.topic == "key").order_by(outbox.c.id))
            .scalars()
            .all()
        )
    )

    assert news == [old, new, old, new]
    found = await on_both.database.read(public_keys)
    assert {(key.kid, key.state, key.organization_id) for key in found} == {
        (old, "retiring", on_both.organization.id),
        (new, "active", on_both.organization.id),
    }


@pytest.mark.parametrize("path", [ROTATE, "/api/oauth/v1/keys/rotate"])
async def test_rotation_is_for_administrators(installation: Installation, path: str):
    assert (await installation.http.post(path)).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server/t/my_company",
        "/t/my_company/.well-known/oauth-authorization-server",
    ],
)
async def test_metadata_lists_what_exists_and_nothing_else(installation: Installation, path: str):
    """RFC 8414 §2, §3: both forms; the Host header has no say."""
    answer = await installation.http.get(path, headers={"Host": "evil.example"})

    issuer = f"{PUBLIC_URL}/t/my_company"
    assert answer.json() == {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/oauth2/token",
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "revocation_endpoint": f"{issuer}/oauth2/revoke",
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint": f"{issuer}/oauth2/introspect",
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "jwks_uri": f"{issuer}/oauth2/jwks",
        "grant_types_supported": ["client_credentials", "password", "refresh_token", GRANT],
        "response_types_supported": [],
    }
    for name in ("token_endpoint", "revocation_endpoint", "introspection_endpoint"):
        assert (await installation.http.post(answer.json()[name])).status_code == 400
    assert (await installation.http.get(answer.json()["jwks_uri"])).status_code == 200


async def test_the_default_organization_is_its_own_issuer(installation: Installation):
    answer = await installation.http.get("/.well-known/oauth-authorization-server")

    assert answer.json()["issuer"] == PUBLIC_URL
    assert answer.json()["token_endpoint"] == f"{PUBLIC_URL}/oauth2/token"


async def _with_client(installation: Installation) -> Installation:
    await installation.a_client()
    return installation
