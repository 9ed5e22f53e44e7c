"""The chain of user stores, as a login experiences it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.identity import PASSWORD, World, a_world, until
from tests.support.login_service import LoginService

from ostiary.foundation.database import Database
from ostiary.identity import LoginRefused, LoginUnavailable, disable_user, find_user
from ostiary.organizations import ChainPolicy


@pytest.fixture
async def second_service() -> AsyncIterator[LoginService]:
    started = await LoginService({"testuser": "second", "only": "second"}).start()
    yield started
    await started.stop()


@pytest.fixture
async def any_world(sqlite_database: Database) -> AsyncIterator[World]:
    made = await a_world(sqlite_database, chain=ChainPolicy.ANY)
    yield made
    await made.authentication.close()


async def outcome(world: World, username: str, password: str = PASSWORD) -> str:
    """The person's display name, `refused` or `unavailable`."""
    try:
        user = await world.log_in(username, password)
    except LoginRefused:
        return "refused"
    except LoginUnavailable:
        return "unavailable"
    return user.subject.display(world.organization.name)


async def test_primary_is_asked_first_then_the_outside_store(world: World, service: LoginService):
    await world.user("bob")
    await world.store(service.url)

    assert await outcome(world, "BOB@my_company") == "bob@my_company"
    assert service.asked == []
    assert await outcome(world, "testuser@my_company", "secret") == "EXTERNAL/testuser@my_company"
    assert service.asked == ["testuser"]


async def test_primary_shadows_a_same_named_outside_user_who_is_reachable_by_prefix(
    world: World, service: LoginService
):
    await world.user("testuser")
    await world.store(service.url)

    assert await outcome(world, "testuser", PASSWORD) == "testuser@my_company"
    assert await outcome(world, "testuser", "secret") == "refused"
    assert service.asked == []
    assert await outcome(world, "EXTERNAL/testuser", "secret") == "EXTERNAL/testuser@my_company"
    assert await outcome(world, "EXTERNAL/testuser", PASSWORD) == "refused"
    assert await outcome(world, "PRIMARY/testuser", "secret") == "refused"


async def test_one_name_in_two_stores_is_two_subjects(world: World, service: LoginService):
    await world.user("testuser")
    await world.store(service.url)

    here = await world.log_in("testuser", PASSWORD)
    there = await world.log_in("EXTERNAL/testuser", "secret")

    assert here.subject.id != there.subject.id
    assert here.subject.id == (await world.log_in("PRIMARY/TESTUSER@my_company", PASSWORD)).subject.id
    assert there.subject.id == (await world.log_in("external/TestUser", "secret")).subject.id


async def test_the_policy_any_goes_on_after_a_certain_refusal(any_world: World, service: LoginService):
    await any_world.user("testuser")
    await any_world.store(service.url)

    assert await outcome(any_world, "testuser", "secret") == "EXTERNAL/testuser@my_company"
    assert await outcome(any_world, "testuser", PASSWORD) == "testuser@my_company"


async def test_an_uncertain_refusal_lets_the_next_store_be_asked(
    world: World, service: LoginService, second_service: LoginService
):
    await world.store(service.url)
    await world.store(second_service.url, "SECOND")

    assert await outcome(world, "testuser", "secret") == "EXTERNAL/testuser@my_company"
    assert await outcome(world, "testuser", "second") == "SECOND/testuser@my_company"
    assert await outcome(world, "testuser", "neither") == "refused"


async def test_a_store_never_sees_the_password_of_a_name_it_does_not_accept(
    world: World, service: LoginService
):
    await world.store(service.url, accepts="*@legacy.example")

    assert await outcome(world, "testuser", "secret") == "refused"
    assert await outcome(world, "EXTERNAL/testuser", "secret") == "refused"
    assert await outcome(world, "ann@legacy.example", "secret") == "refused"
    assert service.asked == ["ann@legacy.example"]


async def test_an_unknown_prefix_is_refused_without_asking_anybody(world: World, service: LoginService):
    service.mode = "ok"
    await world.store(service.url)

    assert await outcome(world, "NOWHERE/testuser") == "refused"
    assert await outcome(world, "a/b/c") == "refused"
    assert service.asked == []


@pytest.mark.parametrize("password", ["", " ", "\t \n", "a\x00", "\x00", "a" * 1025])
async def test_empty_blank_and_nul_passwords_reach_no_store(
    world: World, service: LoginService, password: str
):
    service.mode = "ok"
    await world.store(service.url)

    assert await outcome(world, "testuser", password) == "refused"
    assert service.asked == []


@pytest.mark.parametrize("mode", ["401", "500", "yes", "true", "html", "redirect", "huge", "drip", "nothing"])
async def test_an_outage_is_neither_a_refusal_nor_counted(world: World, service: LoginService, mode: str):
    service.mode = mode
    await world.store(service.url, timeout_ms=200)

    assert [await outcome(world, "testuser", "secret") for _ in range(7)] == ["unavailable"] * 7

    service.mode = "check"
    await world.store(service.url, timeout_ms=2000)
    assert await outcome(world, "testuser", "secret") == "EXTERNAL/testuser@my_company"


async def test_while_a_store_is_down_another_still_answers_and_a_failure_is_no_refusal(
    world: World, service: LoginService, second_service: LoginService
):
    await world.user("bob")
    await world.store(service.url)
    await world.store(second_service.url, "SECOND")
    service.mode = "500"

    assert await outcome(world, "only", "second") == "SECOND/only@my_company"
    assert await outcome(world, "only", "wrong") == "unavailable"
    assert await outcome(world, "SECOND/only", "wrong") == "refused"
    assert await outcome(world, "bob") == "bob@my_company"
    assert await outcome(world, "bob", "wrong") == "refused"


async def test_guesses_during_an_outage_are_counted_where_they_were_answered(
    world: World, service: LoginService, second_service: LoginService
):
    """An outage of one store is no licence to guess at another."""
    await world.store(service.url)
    await world.store(second_service.url, "SECOND")
    service.mode = "500"
    for _ in range(8):
        await outcome(world, "only", "wrong")

    assert second_service.asked.count("only") == 5
    assert await outcome(world, "SECOND/only", "second") == "refused"


async def test_a_hanging_store_does_not_slow_primary(world: World, service: LoginService):
    await world.user("bob")
    await world.store(service.url, timeout_ms=20_000, concurrency=10)
    service.mode = "hang"
    alone = await median_login(world)
    hanging = [asyncio.create_task(outcome(world, f"user{n}", "x")) for n in range(200)]
    await until(lambda: service.open_requests == 10)

    beside = await median_login(world)

    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    assert beside < 2 * alone + 0.02


async def median_login(world: World) -> float:
    loop, durations = asyncio.get_running_loop(), []
    for _ in range(15):
        started = loop.time()
        assert await outcome(world, "bob") == "bob@my_company"
        durations.append(loop.time() - started)
    return sorted(durations)[len(durations) // 2]


async def test_a_disabled_user_is_refused_like_any_other(world: World):
    await world.user("bob")
    await world.database.write(lambda c: disable_user(c, world.organization.id, "bob", world.clock))

    assert await outcome(world, "bob") == "refused"


async def test_an_old_hash_is_renewed_by_a_login(world: World):
    import argon2
    from sqlalchemy import update

    from ostiary.identity.repository import users
    from ostiary.identity.tables import users as table

    await world.user("bob")
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    await world.database.write(lambda c: c.execute(update(table).values(password_hash=old)).rowcount)

    assert await outcome(world, "bob") == "bob@my_company"

    known = await world.database.read(lambda c: users.credential(c, world.organization.id, "bob"))
    assert known is not None
    assert known.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_new_setting_of_one_worker_holds_in_another_from_the_next_login_on(
    world: World, service: LoginService, second_service: LoginService
):
    await world.store(service.url)
    neighbour = Database.open(world.database.url)
    other = World(neighbour, world.organization, (await a_world(neighbour, name="unused")).authentication)
    assert await outcome(other, "testuser", "secret") == "EXTERNAL/testuser@my_company"

    await world.store(second_service.url)

    assert await outcome(other, "testuser", "secret") == "refused"
    assert await outcome(other, "testuser", "second") == "EXTERNAL/testuser@my_company"
    await other.authentication.close()
    await neighbour.close()


async def test_only_a_client_that_may_names_another_organization(world: World, service: LoginService):
    other = await a_world(world.database, name="other_company")
    await other.user("ann")

    async def log_in(*, may: bool) -> str:
        from pydantic import SecretStr

        user = await world.authentication.authenticate(
            world.organization, "ann@other_company", SecretStr(PASSWORD), "app", may_name_organizations=may
        )
        return user.subject.organization_id

    assert await log_in(may=True) == other.organization.id
    with pytest.raises(LoginRefused):
        await log_in(may=False)
    await other.authentication.close()


async def test_every_refusal_says_the_same(world: World, service: LoginService):
    await world.user("bob")
    await world.store(service.url)
    texts = set()
    for username in ("bob", "testuser", "ghost", "NOWHERE/x", "", "EXTERNAL/ghost"):
        with pytest.raises(LoginRefused) as refusal:
            await world.log_in(username, "wrong")
        texts.add(str(refusal.value))

    assert len(texts) == 1


async def test_a_deleted_and_remade_user_is_somebody_else(world: World):
    from ostiary.identity import delete_user

    await world.user("bob")
    before = (await world.log_in("bob")).subject
    await world.database.write(lambda c: delete_user(c, world.organization.id, "BOB"))
    assert await outcome(world, "bob") == "refused"
    assert await world.database.read(lambda c: find_user(c, world.organization.id, "bob")) is None

    await world.user("bob")

    assert (await world.log_in("bob")).subject.id != before.id


async def test_a_store_that_is_switched_off_is_let_go_of_with_the_next_login(
    world: World, service: LoginService
):
    await world.store(service.url)
    await world.log_in("testuser", "secret")
    assert [(where, store) for where, store, _ in world.authentication.health()] == [
        ("my_company", "EXTERNAL")
    ]

    await world.store(service.url, enabled=False)

    assert await outcome(world, "testuser", "secret") == "refused"
    assert list(world.authentication.health()) == []
