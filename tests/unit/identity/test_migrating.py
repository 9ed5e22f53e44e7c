"""Moving away from a store: the credential moves at the first login, the person stays the same."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from tests.support.identity import BOX, AdvancingClock, World, a_world, no_clients
from tests.support.login_service import LoginService
from tests.support.saml import ENTITY, SAMLIssuer

from ostiary.foundation.database import Database
from ostiary.identity import (
    LoginRefused,
    LoginUnavailable,
    StoreOptions,
    UserStoreSettings,
    UserStoreSpec,
    delete_user_store,
    disable_subject,
    find_user_store,
    put_user_store,
    read_user_store_settings,
)
from ostiary.identity.repository import kept_credentials

NOW = datetime(2027, 6, 1, 12, tzinfo=UTC)
UNTIL = date(2027, 6, 30)


@pytest.fixture
def clock() -> AdvancingClock:
    return AdvancingClock(NOW)


@pytest.fixture
async def world(database: Database, clock: AdvancingClock) -> AsyncIterator[World]:
    made = await a_world(database, clock=clock)
    yield made
    await made.authentication.close()


async def migrating(world: World, service: LoginService, **options: object) -> None:
    await world.store(service.url, "LEGACY", migrate_until=UNTIL, **options)


async def outcome(world: World, username: str = "testuser", password: str = "secret") -> str:
    try:
        return (await world.log_in(username, password)).subject.id
    except LoginRefused:
        return "refused"
    except LoginUnavailable:
        return "unavailable"


async def kept(world: World) -> int:
    def count(connection):  # type: ignore[no-untyped-def]
        store = find_user_store(connection, world.organization.id, "LEGACY")
        assert store is not None
        return kept_credentials.progress(connection, world.organization.id, store.id).kept

    return int(await world.database.read(count))


async def test_the_first_login_keeps_the_password_and_the_person(world: World, service: LoginService):
    await migrating(world, service)
    first = await outcome(world)
    asked = len(service.asked)
    await service.stop()

    assert await outcome(world) == first
    assert await outcome(world, "LEGACY/TestUser@my_company") == first
    assert await outcome(world, password="wrong") == "refused"
    assert await outcome(world, "somebody-else") == "unavailable"
    assert len(service.asked) == asked
    assert await kept(world) == 1


async def test_nothing_is_kept_of_a_refusal(world: World, service: LoginService):
    await migrating(world, service)

    assert await outcome(world, password="wrong") == "refused"

    assert await kept(world) == 0


async def test_a_password_changed_in_the_old_store_is_taken_until_the_day(
    world: World, service: LoginService, clock: AdvancingClock
):
    await migrating(world, service)
    first = await outcome(world)
    service.users["testuser"] = "changed"

    assert await outcome(world, password="changed") == first
    await service.stop()
    assert await outcome(world, password="changed") == first
    assert await outcome(world) == "refused"


async def test_after_the_day_the_old_store_is_asked_about_nobody(
    world: World, service: LoginService, clock: AdvancingClock
):
    await migrating(world, service)
    first = await outcome(world)
    service.users["late"] = "secret"
    clock.now = datetime(2027, 6, 30, 23, 59, 59, tzinfo=UTC)
    asked = len(service.asked)
    assert await outcome(world, password="wrong") == "refused"
    assert len(service.asked) > asked

    clock.now = datetime(2027, 7, 1, tzinfo=UTC)
    asked = len(service.asked)

    assert await outcome(world) == first
    assert await outcome(world, password="wrong") == "refused"
    assert await outcome(world, "late") == "refused"
    assert len(service.asked) == asked


async def test_a_store_that_is_switched_off_changes_nothing_for_who_has_moved(
    world: World, service: LoginService
):
    await migrating(world, service)
    first = await outcome(world)
    await migrating(world, service, enabled=False)
    asked = len(service.asked)

    assert await outcome(world) == first
    assert await outcome(world, "LEGACY/testuser") == first
    assert await outcome(world, "somebody-else") == "refused"
    assert len(service.asked) == asked


async def test_a_store_that_accepts_anybody_moves_nobody(world: World, service: LoginService):
    """Its yes proves nothing: whoever comes first would own the name."""
    service.mode = "ok"
    await migrating(world, service)

    assert await outcome(world, password="whatever") not in ("refused", "unavailable")
    assert await outcome(world, password="whatever else") not in ("refused", "unavailable")

    assert await kept(world) == 0


async def test_a_disabled_person_stays_disabled(world: World, service: LoginService, clock: AdvancingClock):
    await migrating(world, service)
    first = await outcome(world)

    await world.database.write(lambda c: disable_subject(c, world.organization.id, first, clock))

    assert await outcome(world) == "refused"


async def test_what_is_kept_of_a_store_goes_with_it(world: World, service: LoginService):
    await migrating(world, service)
    first = await outcome(world)
    await world.database.write(lambda c: delete_user_store(c, world.organization.id, "LEGACY", no_clients))
    assert await outcome(world) == "refused"

    await migrating(world, service)

    assert await kept(world) == 0
    assert await outcome(world) != first


async def test_wrong_passwords_count_for_who_has_moved(world: World, service: LoginService):
    await migrating(world, service)
    await outcome(world)

    for _ in range(5):
        assert await outcome(world, password="wrong") == "refused"

    assert await outcome(world) == "refused"


async def test_the_password_is_nowhere_and_its_hash_in_no_text(world: World, service: LoginService):
    await migrating(world, service)
    await outcome(world)

    def read(connection):  # type: ignore[no-untyped-def]
        store = find_user_store(connection, world.organization.id, "LEGACY")
        assert store is not None
        found = kept_credentials.find(connection, world.organization.id, store.id, "testuser")
        return found, found.password_hash

    found, password_hash = await world.database.read(read)

    assert password_hash.startswith("$argon2id$")
    assert "argon2" not in repr(found)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"migrate_until": UNTIL}, 30),
        ({"migrate_until": date(2027, 6, 1)}, 1),
        ({"migrate_until": date(2027, 5, 31)}, 0),
        ({"migrate_until": date(2020, 1, 1)}, 0),
        ({"migrate_until": UNTIL, "enabled": False}, 0),
        ({}, None),
    ],
)
def test_the_days_on_which_the_old_store_is_asked_are_counted_with_today(
    options: dict[str, Any], left: int | None
):
    store = UserStoreSettings("s", "o", "LEGACY", "rest", 1, 1, {}, StoreOptions(**options))

    assert store.days_left(NOW) == left


async def test_a_store_that_takes_no_passwords_any_more_keeps_none(world: World, service: LoginService):
    """Kept ones would let its people go on whatever the identity provider says of them."""
    await migrating(world, service)
    await outcome(world)
    assert await kept(world) == 1
    settings = read_user_store_settings("saml", {"entity_id": ENTITY, "certificates": [SAMLIssuer().pem]})

    await world.database.write(
        lambda c: put_user_store(c, UserStoreSpec(world.organization.id, "LEGACY", "saml", settings), BOX)
    )

    assert await kept(world) == 0
    assert await outcome(world) == "refused"
