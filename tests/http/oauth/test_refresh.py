"""The refresh token grant: rotation, replay, the lost answer, and many who redeem at once."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, update
from tests.http.oauth.installation import Installation, a_neighbour
from tests.support.login_service import LoginService

from ostiary.foundation.database import metadata
from ostiary.foundation.events import outbox
from ostiary.identity import disable_user, enable_user
from ostiary.oauth import revocations_after
from ostiary.oauth.tables import refresh_tokens, token_families
from ostiary.permissions import a_user, put_role

NOT_VALID = {"error": "invalid_grant", "error_description": "the refresh token is not valid"}


async def first_answer(installation: Installation, **client: Any) -> dict[str, Any]:
    await installation.a_client(**client)
    await installation.a_user()
    return await installation.password_token()


async def family_of(installation: Installation) -> str:
    family: str = await installation.database.read(
        lambda c: c.execute(select(token_families.c.id)).scalar_one()
    )
    return family


async def test_a_refresh_token_is_exchanged_for_the_next_pair(on_both: Installation):
    """RFC 6749 §6, RFC 9700 §4.14.2."""
    first = await first_answer(on_both)

    answer = await on_both.refresh(first["refresh_token"])

    second = answer.json()
    assert (answer.status_code, second["scope"], second["expires_in"]) == (200, "default", 3600)
    assert second["refresh_token"] != first["refresh_token"]
    told = [await on_both.introspect(body["access_token"]) for body in (first, second)]
    assert [each["active"] for each in told] == [True, True]
    assert told[0]["sub"] == told[1]["sub"]


async def test_only_fingerprints_of_refresh_tokens_are_kept(on_both: Installation):
    """RFC 9700 §4.14: the database holds nothing that could be presented."""
    first = await first_answer(on_both, token_format="opaque")
    second = (await on_both.refresh(first["refresh_token"])).json()

    def everything(connection: Connection) -> str:
        return "".join(str(connection.execute(select(table)).all()) for table in metadata.sorted_tables)

    kept = await on_both.database.read(everything)

    secrets = [body[name] for body in (first, second) for name in ("access_token", "refresh_token")]
    assert [secret for secret in secrets if secret in kept] == []


async def test_a_replayed_refresh_token_kills_its_family(on_both: Installation):
    """RFC 9700 §4.14.2: the thief's and the owner's tokens alike."""
    first = await first_answer(on_both)
    second = (await on_both.refresh(first["refresh_token"])).json()
    third = (await on_both.refresh(second["refresh_token"])).json()

    answer = await on_both.refresh(first["refresh_token"])

    assert (answer.status_code, answer.json()) == (400, NOT_VALID)
    assert (await on_both.refresh(third["refresh_token"])).json() == NOT_VALID
    assert [await on_both.introspect(body["access_token"]) for body in (first, second, third)] == [
        {"active": False}
    ] * 3
    family = f"family:{await family_of(on_both)}"
    found = await on_both.database.read(lambda c: revocations_after(c, on_both.clock(), "", 10))
    assert [revocation for revocation, _until in found] == [family]
    news = await on_both.database.read(
        lambda c: c.execute(select(outbox.c.key).where(outbox.c.topic == "revocation")).scalars().all()
    )
    assert news == [family]


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
async def test_a_client_that_lost_the_answer_gets_the_same_one(on_both: Installation, token_format: str):
    """Nothing is remembered in the process: the answer follows from the rows and the token presented."""
    first = await first_answer(on_both, token_format=token_format)
    lost = (await on_both.refresh(first["refresh_token"])).json()
    on_both.clock.advance(timedelta(seconds=9))

    again = (await on_both.refresh(first["refresh_token"])).json()

    assert again == {**lost, "expires_in": lost["expires_in"] - 9}
    assert (await on_both.refresh(again["refresh_token"])).status_code == 200


async def test_another_worker_gives_the_same_answer_after_a_crash(on_both: Installation):
    """The process that consumed the token is gone: its successor needs only the database and the key."""
    first = await first_answer(on_both)
    lost = (await on_both.refresh(first["refresh_token"])).json()
    async with a_neighbour(on_both) as neighbour:
        again = (await neighbour.refresh(first["refresh_token"])).json()

    assert again == lost


async def test_a_retry_that_comes_too_late_is_a_replay(installation: Installation):
    first = await first_answer(installation)
    second = (await installation.refresh(first["refresh_token"])).json()
    installation.clock.advance(timedelta(seconds=11))

    assert (await installation.refresh(first["refresh_token"])).json() == NOT_VALID
    assert (await installation.refresh(second["refresh_token"])).json() == NOT_VALID


async def test_a_retry_after_the_successor_was_used_is_a_replay(installation: Installation):
    first = await first_answer(installation)
    second = (await installation.refresh(first["refresh_token"])).json()
    third = (await installation.refresh(second["refresh_token"])).json()

    assert (await installation.refresh(first["refresh_token"])).json() == NOT_VALID
    assert (await installation.refresh(third["refresh_token"])).json() == NOT_VALID


async def test_a_public_client_has_no_second_try(installation: Installation):
    """RFC 9700 §4.14.2: without client authentication a retry cannot be told from a theft."""
    first = await first_answer(installation)
    await installation.a_client("mobile", is_public=True, grant_types=frozenset({"refresh_token"}))
    form = {"grant_type": "refresh_token", "client_id": "mobile", "refresh_token": first["refresh_token"]}
    second = (await installation.http.post("/token", data=form)).json()

    answer = await installation.http.post("/token", data=form)

    assert (answer.status_code, answer.json()) == (400, NOT_VALID)
    assert (
        await installation.http.post("/token", data={**form, "refresh_token": second["refresh_token"]})
    ).json() == NOT_VALID


async def test_many_redeem_one_refresh_token_and_it_rotates_once(on_both: Installation):
    """RFC 9700 §4.14.2, one-time use under concurrency: two workers, twenty requests, one successor."""
    first = await first_answer(on_both, token_format="opaque")
    async with a_neighbour(on_both) as neighbour:
        both = [on_both, neighbour] * 10

        answers = await asyncio.gather(*(each.refresh(first["refresh_token"]) for each in both))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    count = await on_both.database.read(lambda c: len(c.execute(select(refresh_tokens)).all()))
    assert count == 2


async def test_many_replay_for_a_public_client_and_at_most_one_wins(on_both: Installation):
    first = await first_answer(on_both)
    await on_both.a_client("mobile", is_public=True, grant_types=frozenset({"refresh_token"}))
    form = {"grant_type": "refresh_token", "client_id": "mobile", "refresh_token": first["refresh_token"]}

    answers = await asyncio.gather(*(on_both.http.post("/token", data=form) for _ in range(10)))

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 9
    winner = next(answer.json() for answer in answers if answer.status_code == 200)
    assert await on_both.database.read(lambda c: c.execute(select(token_families.c.revoked_at)).scalar_one())
    last = await on_both.http.post("/token", data={**form, "refresh_token": winner["refresh_token"]})
    assert last.json() == NOT_VALID


async def test_another_client_cannot_use_the_token(installation: Installation):
    """RFC 6749 §10.4: bound to the client; and its owner loses nothing."""
    first = await first_answer(installation)
    await installation.a_client("thief")

    assert (await installation.refresh(first["refresh_token"], by="thief")).json() == NOT_VALID
    assert (await installation.refresh(first["refresh_token"])).status_code == 200


async def test_a_refresh_token_ends(installation: Installation):
    first = await first_answer(installation, refresh_token_lifetime=timedelta(hours=1))
    installation.clock.advance(timedelta(hours=1))

    assert (await installation.refresh(first["refresh_token"])).json() == NOT_VALID


async def test_a_refresh_never_gives_more_than_the_original_grant(on_both: Installation):
    """RFC 6749 §6."""
    for name in ("a", "b", "c"):
        await on_both.a_scope(name, everyone=True)
    await on_both.a_client()
    await on_both.a_user()
    first = await on_both.password_token(scope="a b")

    narrower = (await on_both.refresh(first["refresh_token"], scope="b c")).json()
    full = (await on_both.refresh(narrower["refresh_token"])).json()

    assert (narrower["scope"], full["scope"]) == ("b", "a b")


async def test_a_refresh_gives_what_holds_now(on_both: Installation):
    await on_both.a_client()
    await on_both.a_user()
    role = await on_both.a_role("clerk", a_user("bob"))
    await on_both.a_scope("orders:write", roles=["clerk"])
    first = await on_both.password_token(scope="orders:write")
    assert first["scope"] == "orders:write"
    await on_both.database.write(lambda c: put_role(c, replace(role, members=frozenset())))

    second = (await on_both.refresh(first["refresh_token"])).json()

    assert second["scope"] == "default"
    assert await on_both.introspect(first["access_token"]) == {"active": False}
    assert (await on_both.introspect(second["access_token"]))["active"] is True


async def test_a_strict_client_cannot_refresh_to_more(installation: Installation):
    await installation.a_scope("a", everyone=True)
    await installation.a_scope("b", everyone=True)
    await installation.a_client(strict_scopes=True)
    await installation.a_user()
    first = await installation.password_token(scope="a")

    answer = await installation.refresh(first["refresh_token"], scope="a b")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    assert (await installation.refresh(first["refresh_token"])).status_code == 200


async def test_a_disabled_user_is_not_refreshed_until_enabled_again(on_both: Installation):
    first = await first_answer(on_both)
    here = on_both.organization.id
    await on_both.database.write(lambda c: disable_user(c, here, "bob", on_both.clock))

    refused = await on_both.refresh(first["refresh_token"])
    await on_both.database.write(lambda c: enable_user(c, here, "bob"))

    assert refused.json() == NOT_VALID
    assert (await on_both.refresh(first["refresh_token"])).status_code == 200


async def test_a_store_that_cannot_report_deletions_ends_refresh_after_a_while(on_both: Installation):
    """`reauthenticate_after`: twelve hours after the last password check."""
    await on_both.a_client(refresh_token_lifetime=timedelta(days=30))
    service = await LoginService({"testuser": "its-password"}).start()
    await on_both.world.store(service.url)
    first = (await on_both.token(grant_type="password", username="testuser", password="its-password")).json()
    await service.stop()
    on_both.clock.advance(timedelta(hours=11, minutes=59))
    second = await on_both.refresh(first["refresh_token"])
    on_both.clock.advance(timedelta(minutes=2))

    answer = await on_both.refresh(second.json()["refresh_token"])

    assert (second.status_code, answer.status_code, answer.json()) == (200, 400, NOT_VALID)


async def test_primary_reports_deletions_and_so_refresh_goes_on(installation: Installation):
    first = await first_answer(installation, refresh_token_lifetime=timedelta(days=30))
    installation.clock.advance(timedelta(days=10))

    assert (await installation.refresh(first["refresh_token"])).status_code == 200


async def test_a_family_revoked_between_two_reads_is_not_extended(on_both: Installation):
    """The family's row is locked before anything is issued, so a revocation never comes too late."""
    first = await first_answer(on_both)
    revoked = update(token_families).values(revoked_at=on_both.clock())
    await on_both.database.write(lambda c: c.execute(revoked))

    assert (await on_both.refresh(first["refresh_token"])).json() == NOT_VALID
