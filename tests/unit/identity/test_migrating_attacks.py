"""Moving away from a store, tried by somebody who wants another's name."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.support.http_service import Answer, HTTPService, Seen
from tests.support.identity import AdvancingClock, World, a_world
from tests.support.login_service import LoginService
from tests.support.login_shapes import LEGACY

from ostiary.foundation.database import Database
from ostiary.identity import LoginRefused, LoginUnavailable
from ostiary.identity.user_stores.steps import watched

UNTIL = date(2027, 6, 30)
AFTER = datetime(2027, 7, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> AdvancingClock:
    return AdvancingClock(datetime(2027, 6, 1, 12, tzinfo=UTC))


@pytest.fixture
async def world(database: Database, clock: AdvancingClock) -> AsyncIterator[World]:
    made = await a_world(database, clock=clock)
    yield made
    await made.authentication.close()


async def outcome(world: World, username: str = "testuser", password: str = "secret") -> str:
    try:
        return (await world.log_in(username, password)).subject.id
    except LoginRefused:
        return "refused"
    except LoginUnavailable:
        return "unavailable"


class Directory:
    """A service that knows one person under a name and an address."""

    def __init__(self) -> None:
        self.password = "old"

    def __call__(self, request: Seen) -> Answer:
        said = json.loads(request.body)
        is_right = said["user"] in ("bob", "bob@corp.example") and said["secret"] == self.password
        answer: dict[str, Any] = {"code": 0, "userId": 1, "groups": ["sales"], "mail": "bob@corp.example"}
        return 200, {"result": answer if is_right else {"code": 7}}


@pytest.fixture
async def directory(world: World) -> AsyncIterator[Directory]:
    made = Directory()
    service = await HTTPService(made).start()
    await world.connect("rest", {"url": service.url, **LEGACY}, "LEGACY", migrate_until=UNTIL)
    yield made
    await service.stop()


async def test_a_password_that_was_changed_is_right_under_no_other_name(
    world: World, directory: Directory, clock: AdvancingClock
):
    bob = await outcome(world, "bob", "old")
    assert await outcome(world, "bob@corp.example", "old") == bob
    directory.password = "new"
    assert await outcome(world, "bob", "new") == bob

    assert await outcome(world, "bob@corp.example", "old") == "refused"

    clock.now = AFTER
    assert await outcome(world, "bob@corp.example", "old") == "refused"
    assert await outcome(world, "bob@corp.example", "new") == bob


async def test_a_store_that_begins_to_accept_anybody_moves_nobody_more(
    world: World, service: LoginService, clock: AdvancingClock
):
    """Otherwise whoever was let in by mistake would be let in by us for ever."""
    service.users["victim"] = "a secret"
    await world.store(service.url, "LEGACY", migrate_until=UNTIL)
    await outcome(world)
    clock.advance(timedelta(minutes=1))
    service.mode = "ok"
    await outcome(world, "victim", "of an attacker")
    service.mode = "check"

    assert await outcome(world, "victim", "of an attacker") == "refused"


async def test_a_service_that_is_mended_moves_people_without_a_restart(
    world: World, service: LoginService, clock: AdvancingClock
):
    service.mode = "ok"
    await world.store(service.url, "LEGACY", migrate_until=UNTIL)
    first = await outcome(world)
    clock.advance(timedelta(minutes=1))
    service.mode = "check"
    assert await outcome(world) == first

    clock.now = AFTER

    assert await outcome(world) == first


async def test_who_has_not_moved_costs_a_hash_too(world: World, service: LoginService):
    """Otherwise the time of a refusal says who has moved, and so who exists."""
    await world.store(service.url, "LEGACY", migrate_until=UNTIL)

    with watched() as steps:
        assert await outcome(world, "nobody") == "refused"

    assert "kept credential" in [step.what for step in steps.found]
