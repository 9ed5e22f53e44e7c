"""Look-ups without a password: what is kept of them, and when."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from tests.support.http_service import HTTPService
from tests.support.identity import World, a_world
from tests.support.login_shapes import LEGACY, LEGACY_LOOK_UP, legacy

from ostiary.foundation.database import Database
from ostiary.identity import Told, check_standing
from ostiary.identity.rehearsal import rehearse
from ostiary.identity.repository import subjects


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    made = await a_world(database)
    yield made
    await made.authentication.close()


@pytest.fixture
async def service() -> AsyncIterator[HTTPService]:
    started = await HTTPService(legacy).start()
    yield started
    await started.stop()


async def connect(world: World, service: HTTPService, path: str = "/people/{id}") -> None:
    look_up = {"url": f"{service.url}{path}", **LEGACY_LOOK_UP}
    await world.connect("rest", {"url": service.url, **LEGACY, "look_up": look_up})


async def test_a_word_of_before_the_last_login_takes_nothing_back(world: World, service: HTTPService):
    """A slow answer arrives after the person has logged in again, with what the store told then."""
    await connect(world, service)
    subject = (await world.log_in("testuser", "secret")).subject
    here = (world.organization.id, subject.id)
    before = world.clock() - timedelta(minutes=1)

    kept = await world.database.write(lambda c: subjects.confirm(c, *here, "older", before))

    standing = await world.database.read(lambda c: check_standing(c, *here, world.clock))
    assert (kept, standing.subject) == (False, subject)
    assert await world.database.read(lambda c: subjects.is_confirmed_since(c, *here, before))
    assert not await world.database.read(lambda c: subjects.is_confirmed_since(c, *here, world.clock()))


async def test_who_was_confirmed_meanwhile_is_not_asked_about_again(world: World, service: HTTPService):
    await connect(world, service)
    subject = (await world.log_in("testuser", "secret")).subject
    asked = len(service.seen)

    told = await world.authentication.look_ups.ask(world.organization, subject, None)

    assert (told, len(service.seen)) == (Told.PRESENT, asked)


async def test_a_store_that_is_gone_says_nothing_of_its_people(world: World, service: HTTPService):
    await world.user("bob")
    subject = (await world.log_in("bob")).subject

    assert await world.authentication.look_ups.ask(world.organization, subject, None) is Told.NOTHING


@pytest.mark.parametrize(
    ("path", "last"),
    [
        ("/people/{id}", ("told", {"store": "EXTERNAL", "answer": "present"})),
        (
            "/nobody/{username}",
            (
                "a refresh would not find this user",
                {"advice": "see how the store finds people without a password"},
            ),
        ),
    ],
)
async def test_a_rehearsal_says_whether_a_refresh_would_find_the_user(
    world: World, service: HTTPService, path: str, last: tuple[str, dict[str, str]]
):
    """And keeps nothing of it: no token is refused because somebody tried."""
    await connect(world, service, path)

    found = await rehearse(
        world.database, world.authentication, world.organization, "testuser", SecretStr("secret")
    )

    assert found.decision == "accepted"
    assert (found.steps[-1].what, found.steps[-1].facts) == last


async def test_a_rehearsal_says_that_a_store_cannot_be_asked(world: World, service: HTTPService):
    await world.connect("rest", {"url": service.url, **LEGACY})

    found = await rehearse(
        world.database, world.authentication, world.organization, "testuser", SecretStr("secret")
    )

    assert found.steps[-1].what == "cannot be looked up"
