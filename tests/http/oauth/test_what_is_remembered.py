"""What a worker remembers of what it read: a change by another worker holds from its next request on."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from tests.http.oauth.installation import ALL_GRANTS, SECRET, Installation, a_neighbour, an_installation
from tests.support.identity import BOX

from ostiary.foundation.database import Database
from ostiary.identity import delete_user, disable_user
from ostiary.oauth import ClientSpec, ScopeSpec, delete_client, put_client, put_scope
from ostiary.organizations import narrow
from ostiary.permissions import a_user, find_role, put_role

Change = Callable[[Installation, str], Awaitable[object]]
INACTIVE = {"active": False}


async def revoke(here: Installation, token: str) -> object:
    return await here.http.post("/oauth2/revoke", data={"token": token}, auth=("mobile", SECRET))


async def disable_the_user(here: Installation, _token: str) -> object:
    return await here.database.write(lambda c: disable_user(c, here.organization.id, "bob", here.clock))


async def remove_the_user(here: Installation, _token: str) -> object:
    return await here.database.write(lambda c: delete_user(c, here.organization.id, "bob"))


async def take_the_role_away(here: Installation, _token: str) -> object:
    def unit(connection: Any) -> None:
        role = find_role(connection, here.organization.id, "clerk")
        assert role is not None
        put_role(connection, replace(role, members=frozenset()))

    return await here.database.write(unit)


async def give_the_scope_to_others(here: Installation, _token: str) -> object:
    spec = ScopeSpec("orders:write", roles=frozenset({"others"}))
    return await here.database.write(lambda c: put_scope(c, here.organization.id, spec))


async def remove_the_client(here: Installation, _token: str) -> object:
    return await here.database.write(lambda c: delete_client(c, here.organization.id, "mobile"))


async def narrow_the_organization(here: Installation, _token: str) -> object:
    organization_id = here.organization.id
    return await here.database.write(lambda c: narrow(c, organization_id, "organization", organization_id))


async def withdraw_the_key(here: Installation, _token: str) -> object:
    return await here.database.write(
        lambda c: here.server.keys.rotate(c, here.organization.id, here.clock(), immediately=True)
    )


CHANGES: tuple[Change, ...] = (
    revoke,
    disable_the_user,
    remove_the_user,
    take_the_role_away,
    give_the_scope_to_others,
    remove_the_client,
    narrow_the_organization,
)


async def a_token(here: Installation, token_format: str) -> str:
    """A token of bob, who is a clerk, for orders:write; `desk` asks about it."""
    await here.a_client(token_format=token_format)
    await here.a_client("desk")
    await here.a_user()
    await here.a_role("clerk", a_user("bob"))
    await here.a_scope("orders:write", roles={"clerk"})
    answer = await here.password_token(scope="orders:write")
    assert answer["scope"] == "orders:write"
    return str(answer["access_token"])


@pytest.mark.parametrize(
    ("token_format", "change"),
    [
        *[(kind, change) for kind in ("jwt", "opaque") for change in CHANGES],
        ("jwt", withdraw_the_key),
    ],
)
async def test_a_token_that_was_good_is_refused_from_the_next_question_on(
    on_both: Installation, token_format: str, change: Change
) -> None:
    token = await a_token(on_both, token_format)
    async with a_neighbour(on_both) as neighbour:
        before = [(await neighbour.introspect(token, by="desk"))["active"] for _ in range(3)]
        await change(on_both, token)
        after = await neighbour.introspect(token, by="desk")

    assert (before, after) == ([True] * 3, INACTIVE)


async def test_a_remembered_token_ends_when_its_time_is_over(installation: Installation) -> None:
    token = await a_token(installation, "opaque")
    before = await installation.introspect(token, by="desk")
    installation.clock.advance(timedelta(hours=2))

    assert (before["active"], await installation.introspect(token, by="desk")) == (True, INACTIVE)


async def test_what_one_client_was_told_another_organizations_client_is_not(
    installation: Installation,
) -> None:
    token = await a_token(installation, "jwt")
    refresh = (await installation.password_token(scope="orders:write"))["refresh_token"]
    told = [(await installation.introspect(one, by="mobile"))["active"] for one in (token, refresh)]
    asked_by_desk = [(await installation.introspect(one, by="desk"))["active"] for one in (token, refresh)]

    assert (told, asked_by_desk) == ([True, True], [True, False])


async def test_a_used_refresh_token_is_inactive_from_the_next_question_on(on_both: Installation) -> None:
    await on_both.a_client()
    await on_both.a_user()
    refresh = (await on_both.password_token())["refresh_token"]
    async with a_neighbour(on_both) as neighbour:
        before = await neighbour.introspect(refresh)
        await on_both.refresh(refresh)
        after = await neighbour.introspect(refresh)

    assert (before["active"], after) == (True, INACTIVE)


async def test_a_token_that_did_not_exist_is_known_as_soon_as_it_does(database: Database) -> None:
    """A text that is no token is remembered too, and only until somebody commits."""
    async with an_installation(database, refresh_retry_window=timedelta(seconds=30)) as here:
        await here.a_client()
        await here.a_user()
        refresh = (await here.password_token())["refresh_token"]
        coming = here.server.grants["refresh_token"].issuer.successor_of(refresh)  # type: ignore[attr-defined]
        async with a_neighbour(here) as neighbour:
            before = await neighbour.introspect(coming)
            await here.refresh(refresh)
            after = await neighbour.introspect(coming)

    assert (before, after["active"]) == (INACTIVE, True)


async def test_a_changed_secret_holds_from_the_next_request_on(on_both: Installation) -> None:
    """The old one is refused and the new one taken, at a worker that has just let the old one through."""
    await on_both.a_client()
    async with a_neighbour(on_both) as neighbour:
        before = await neighbour.token(grant_type="client_credentials")
        spec = ClientSpec("mobile", secret=SecretStr("another"), grant_types=ALL_GRANTS)
        here = on_both.organization.id
        await on_both.database.write(
            lambda c: put_client(c, BOX, here, spec, on_both.clock(), set_secret=True)
        )
        old = await neighbour.token(grant_type="client_credentials")
        new = await neighbour.token(grant_type="client_credentials", secret="another")

    assert [answer.status_code for answer in (before, old, new)] == [200, 401, 200]
