"""POST /oauth2/revoke (RFC 7009)."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.http.oauth.installation import SECRET, Installation

from ostiary.foundation.events import outbox
from ostiary.oauth import delete_client, forget_ended, revocations_after
from ostiary.oauth.tables import access_tokens, revocations, token_families

INACTIVE = {"active": False}


async def revoke(installation: Installation, token: str, by: str = "mobile", **form: str) -> int:
    answer = await installation.http.post("/revoke", data={"token": token, **form}, auth=(by, SECRET))
    assert (answer.content, answer.headers["cache-control"]) == (b"", "no-store")
    return answer.status_code


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
@pytest.mark.parametrize("half", ["access_token", "refresh_token"])
async def test_revoking_either_half_ends_both(on_both: Installation, token_format: str, half: str):
    """RFC 7009 §2.1; a wrong hint hides nothing."""
    await on_both.a_client(token_format=token_format)
    await on_both.a_user()
    body = await on_both.password_token()

    status = await revoke(on_both, body[half], token_type_hint="refresh_token")

    assert status == 200
    assert await on_both.introspect(body["access_token"]) == INACTIVE
    assert await on_both.introspect(body["refresh_token"]) == INACTIVE
    assert (await on_both.refresh(body["refresh_token"])).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
async def test_a_clients_own_token_is_revoked_by_its_id_until_it_is_over(
    on_both: Installation, token_format: str
):
    await on_both.a_client(token_format=token_format)
    token = (await on_both.token(grant_type="client_credentials")).json()["access_token"]

    await asyncio.gather(*(revoke(on_both, token) for _ in range(4)))

    assert await on_both.introspect(token) == INACTIVE
    found = dict(await on_both.database.read(lambda c: revocations_after(c, on_both.clock(), "", 10)))
    news = await on_both.database.read(
        lambda c: c.execute(select(outbox.c.key).where(outbox.c.topic == "revocation")).scalars().all()
    )
    assert news == list(found)
    assert [key.startswith("token:") for key in found] == [True]
    assert list(found.values()) == [on_both.clock() + timedelta(hours=1)]
    on_both.clock.advance(timedelta(hours=1))
    assert await on_both.database.read(lambda c: revocations_after(c, on_both.clock(), "", 10)) == []


async def test_another_clients_token_is_left_alone(installation: Installation):
    """RFC 7009 §2.1: own tokens only; and the answer does not tell."""
    await installation.a_client()
    await installation.a_client("other")
    await installation.a_user()
    body = await installation.password_token()

    assert await revoke(installation, body["access_token"], by="other") == 200
    assert await revoke(installation, body["refresh_token"], by="other") == 200

    assert (await installation.introspect(body["access_token"]))["active"] is True
    assert (await installation.refresh(body["refresh_token"])).status_code == 200


@pytest.mark.parametrize("token", ["x", "a.b.c", "ä", "é.è.ê", "." * 3, "x" * 8_192])
async def test_whatever_is_no_token_is_revoked_already(on_both: Installation, token: str):
    """RFC 7009 §2.2."""
    await on_both.a_client()

    assert await revoke(on_both, token) == 200


async def test_revocation_asks_who_the_client_is(installation: Installation):
    answer = await installation.http.post("/oauth2/revoke", data={"token": "x"})

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_revocation_takes_a_token(installation: Installation):
    """RFC 7009 §2.1: REQUIRED."""
    await installation.a_client()

    answer = await installation.http.post("/oauth2/revoke", data={}, auth=("mobile", SECRET))

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_a_removed_client_takes_its_tokens_along(on_both: Installation):
    await on_both.a_client()
    await on_both.a_client("resource_server")
    await on_both.a_user()
    body = await on_both.password_token()

    await on_both.database.write(lambda c: delete_client(c, on_both.organization.id, "mobile"))

    assert await on_both.introspect(body["access_token"], by="resource_server") == INACTIVE
    assert (await on_both.refresh(body["refresh_token"])).status_code == 401


async def test_what_is_over_is_swept_away_in_pieces(on_both: Installation):
    await on_both.a_client(token_format="opaque")
    await on_both.a_user()
    for _ in range(3):
        body = await on_both.password_token()
        await revoke(on_both, body["access_token"])
    kept = await on_both.password_token()
    on_both.clock.advance(timedelta(hours=2))
    fresh = (await on_both.refresh(kept["refresh_token"])).json()
    on_both.clock.advance(timedelta(hours=23))

    swept = [
        await on_both.database.write(lambda c: forget_ended(c, on_both.clock(), at_most=2)) for _ in range(4)
    ]

    assert swept[-1] == 0
    assert sum(swept) == 11
    for table, left in ((token_families, 1), (access_tokens, 0), (revocations, 0)):
        assert await on_both.database.read(lambda c, t=table: len(c.execute(select(t)).all())) == left
    assert (await on_both.refresh(fresh["refresh_token"])).status_code == 200
