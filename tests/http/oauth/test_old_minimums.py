"""Minimum epochs do not grow for ever, and no token of before gets through for it, whatever clocks say."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection
from tests.http.oauth.installation import Installation, an_installation

from ostiary.foundation.database import Database
from ostiary.foundation.events import Event, events_after, latest_number, number_events
from ostiary.oauth import fold_old_minimums
from ostiary.organizations import current_epoch, fold_minimums, minimums, narrow

MONTH = timedelta(days=32)


@pytest.fixture
async def installation(database: Database) -> AsyncIterator[Installation]:
    async with an_installation(database) as built:
        await built.a_user()
        await built.a_client("mobile")
        yield built


async def known(installation: Installation) -> dict[tuple[str, str], int]:
    return await installation.database.read(lambda c: minimums(c, installation.organization.id))


async def narrowed(installation: Installation, *keys: str) -> None:
    def unit(connection: Connection) -> None:
        for key in keys:
            narrow(connection, installation.organization.id, "client", key)

    await installation.database.write(unit)


async def folded(installation: Installation) -> int:
    """As the worker does, hour after hour."""
    here, settings = installation.organization.id, installation.server.settings
    found = 0
    while more := await installation.database.write(
        lambda c: fold_old_minimums(c, here, settings, installation.clock())
    ):
        found += more
    return found


async def test_old_minimums_become_one_and_newer_ones_stay(installation: Installation):
    await narrowed(installation, *(f"old-{number}" for number in range(2500)))
    assert await folded(installation) == 0
    installation.clock.advance(MONTH)
    await narrowed(installation, "new", "old-7")
    highest, here = (await known(installation))["client", "old-2499"], installation.organization.id

    assert await folded(installation) == 2499

    left = await known(installation)
    assert set(left) == {("client", "new"), ("client", "old-7"), ("organization", here)}
    assert left["organization", here] == highest


async def test_nothing_is_folded_before_every_token_of_before_has_expired(installation: Installation):
    await narrowed(installation, "old")
    await folded(installation)
    installation.clock.advance(timedelta(days=30))

    assert await folded(installation) == 0


@pytest.mark.parametrize(
    "lasting", [{"access_token_lifetime": timedelta(days=90)}, {"validity": "unlimited"}]
)
async def test_it_waits_for_clients_whose_tokens_live_longer(
    installation: Installation, lasting: dict[str, object]
):
    await installation.a_client("lasting", **lasting)
    await narrowed(installation, "old")
    await folded(installation)
    installation.clock.advance(MONTH)

    assert await folded(installation) == 0


async def test_a_token_of_before_stays_refused_when_a_wrong_clock_made_minimums_go(
    installation: Installation,
):
    """The clock runs a year ahead, what is old goes, the clock is set right: the token is not over yet."""
    token = (await installation.password_token())["access_token"]
    assert (await installation.introspect(token))["active"] is True
    await narrowed(installation, "mobile")
    assert (await installation.introspect(token))["active"] is False
    await folded(installation)
    installation.clock.advance(timedelta(days=365))

    assert await folded(installation) == 1

    installation.clock.advance(timedelta(days=-365))
    assert ("client", "mobile") not in await known(installation)
    assert (await installation.introspect(token))["active"] is False
    new = (await installation.password_token())["access_token"]
    assert (await installation.introspect(new))["active"] is True


async def test_a_mark_from_the_future_is_made_anew(installation: Installation):
    installation.clock.advance(timedelta(days=3650))
    await folded(installation)
    installation.clock.advance(timedelta(days=-3650))
    await narrowed(installation, "old")
    await folded(installation)
    installation.clock.advance(MONTH)

    assert await folded(installation) == 1


async def test_the_one_minimum_is_never_lowered(installation: Installation):
    await narrowed(installation, "old")
    await folded(installation)
    here = installation.organization.id
    raised = await installation.database.write(lambda c: narrow(c, here, "organization", here))
    installation.clock.advance(MONTH)

    await folded(installation)

    assert await known(installation) == {("organization", here): raised}


async def test_gateways_are_told_what_went_and_what_stands_for_it(installation: Installation):
    await narrowed(installation, "old")
    await folded(installation)
    installation.clock.advance(MONTH)
    await installation.database.write(number_events)
    before = await installation.database.read(latest_number)

    await folded(installation)

    await installation.database.write(number_events)
    here = installation.organization.id
    told = await installation.database.read(lambda c: events_after(c, before, 10))
    assert told == [Event("epoch", here, f"organization:{here}"), Event("epoch", here, "client:old")]


async def test_tokens_issued_since_are_no_worse_for_it(installation: Installation):
    await narrowed(installation, "old")
    await folded(installation)
    token = (await installation.password_token())["access_token"]
    installation.clock.advance(timedelta(minutes=59))

    def as_late_as_it_gets(connection: Connection) -> int:
        now = installation.clock() + MONTH
        return fold_old_minimums(connection, installation.organization.id, installation.server.settings, now)

    assert await installation.database.write(as_late_as_it_gets) == 1
    assert (await installation.introspect(token))["active"] is True
    here = installation.organization.id
    assert await installation.database.read(lambda c: current_epoch(c, here)) >= max(
        (await known(installation)).values()
    )


async def test_of_an_organization_that_went_meanwhile_nothing_is_folded(installation: Installation):
    """Or those that come after it in the list would wait for the next time."""
    now = installation.clock()

    assert await installation.database.write(lambda c: fold_minimums(c, "gone", now, timedelta(hours=1))) == 0
