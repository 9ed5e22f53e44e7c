"""POST /internal/gateway/v1/introspect: what an opaque token says."""

from datetime import timedelta

from tests.http.gateway.gateway import Gateway
from tests.http.oauth.installation import PUBLIC_URL, SECRET

from ostiary.gateway.node.tokens import read_claims
from ostiary.organizations import narrow


async def an_opaque_token(gateway: Gateway) -> str:
    await gateway.installation.a_client("desk", token_format="opaque")
    body = await gateway.installation.token("desk", grant_type="password", username="bob", password=PASSWORD)
    return str(body.json()["access_token"])


PASSWORD = "correct horse battery staple"


async def test_an_opaque_token_says_what_a_jwt_would(on_both: Gateway):
    told = await on_both.introspect(await an_opaque_token(on_both))

    claims = read_claims(told, kid=None)
    assert told["active"] is True
    assert (claims.client_id, claims.organization, claims.username) == ("desk", "my_company", "bob")
    assert claims.audience == {f"{PUBLIC_URL}/t/my_company/gateway"}


async def test_a_revoked_opaque_token_says_nothing(gateway: Gateway):
    token = await an_opaque_token(gateway)
    await gateway.installation.http.post("/revoke", data={"token": token}, auth=("desk", SECRET))

    assert await gateway.introspect(token) == {"active": False}


async def test_an_opaque_token_that_is_over_or_too_old_says_nothing(gateway: Gateway):
    narrowed, expired = await an_opaque_token(gateway), await an_opaque_token(gateway)
    here = gateway.organization_id
    await gateway.write(lambda c: narrow(c, here, "client", "desk"))
    assert await gateway.introspect(narrowed) == {"active": False}

    gateway.installation.clock.advance(timedelta(hours=2))
    assert await gateway.introspect(expired) == {"active": False}


async def test_what_was_never_a_token_says_nothing(gateway: Gateway):
    for token in ("", "nonsense", "x" * 100_000, "ü\x00"):
        assert await gateway.introspect(token) == {"active": False}
