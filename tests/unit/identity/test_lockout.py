"""Lock-out: one counter per identity over all spellings, temporary, never for an outage."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, func, select
from tests.support.identity import PASSWORD, AdvancingClock, World, a_world, until
from tests.support.login_service import LoginService

from ostiary.foundation.database import Database
from ostiary.identity import AuthenticatedUser, LoginRefused, LoginUnavailable, check_standing, disable_user
from ostiary.identity.settings import LockoutSettings
from ostiary.identity.tables import login_attempts

LIMITS = LockoutSettings(client_failures=5, user_failures=12, patience=timedelta(seconds=3))


@pytest.fixture
def clock() -> AdvancingClock:
    return AdvancingClock()


@pytest.fixture
async def world(database: Database, clock: AdvancingClock) -> AsyncIterator[World]:
    made = await a_world(database, clock=clock, lockout=LIMITS)
    yield made
    await made.authentication.close()


async def attempt(world: World, username: str, password: str = "wrong", client: str = "app") -> str:
    try:
        await world.log_in(username, password, client)
    except LoginRefused:
        return "refused"
    except LoginUnavailable:
        return "unavailable"
    return "accepted"


async def attempts(world: World, times: int, username: str, client: str = "app") -> None:
    for _ in range(times):
        assert await attempt(world, username, client=client) == "refused"


async def rows(world: World) -> int:
    return await world.database.read(
        lambda c: c.execute(select(func.count()).select_from(login_attempts)).scalar_one()
    )


async def test_five_failures_lock_and_time_unlocks(
    world: World, clock: AdvancingClock, service: LoginService
):
    await world.store(service.url)
    await attempts(world, 5, "testuser")
    assert await attempt(world, "testuser", "secret") == "refused"

    clock.advance(LIMITS.client_lock)

    assert await attempt(world, "testuser", "secret") == "accepted"


async def test_four_failures_do_not_lock_and_a_success_forgets_them(world: World, service: LoginService):
    await world.store(service.url)
    for _ in range(3):
        await attempts(world, 4, "testuser")
        assert await attempt(world, "testuser", "secret") == "accepted"
    assert await rows(world) == 0


async def test_a_lock_does_not_grow_by_further_attempts(
    world: World, clock: AdvancingClock, service: LoginService
):
    await world.store(service.url)
    await attempts(world, 5, "testuser")
    for _ in range(4):
        clock.advance(LIMITS.client_lock / 5)
        assert await attempt(world, "testuser") == "refused"
    clock.advance(LIMITS.client_lock / 5)

    assert await attempt(world, "testuser", "secret") == "accepted"


async def test_one_client_does_not_lock_another_until_the_users_own_limit(
    world: World, service: LoginService
):
    await world.store(service.url)
    await attempts(world, 5, "testuser", "first")
    assert await attempt(world, "testuser", "secret", "first") == "refused"
    assert await attempt(world, "testuser", "wrong", "second") == "refused"
    await attempts(world, 4, "testuser", "second")
    await attempts(world, 2, "testuser", "third")

    assert await attempt(world, "testuser", "secret", "fourth") == "refused"


async def test_fifty_parallel_guesses_through_mixed_spellings_are_one_identity(
    world: World, service: LoginService
):
    """CVE-2026-9798: a lock-out that another spelling or another path gets round."""
    await world.store(service.url)
    spellings = (
        "testuser",
        "TESTUSER@my_company",
        "EXTERNAL/testuser",
        "external/TestUser@my_company",
        "ｔestuser",
    )

    guesses = [attempt(world, spellings[n % len(spellings)], f"guess{n}") for n in range(50)]
    outcomes = await asyncio.gather(*guesses)

    assert set(outcomes) == {"refused"}
    assert len(service.asked) == LIMITS.client_failures
    assert await attempt(world, "testuser", "secret") == "refused"


async def test_fifty_parallel_guesses_at_primary_are_one_identity(world: World):
    await world.user("bob")
    spellings = ("bob", "BOB@my_company", "PRIMARY/bob", "primary/Bob@my_company")

    await asyncio.gather(*(attempt(world, spellings[n % 4], f"guess{n}") for n in range(50)))

    assert await attempt(world, "bob", PASSWORD) == "refused"


async def test_guesses_through_two_workers_are_one_identity(world: World, service: LoginService):
    await world.store(service.url)
    neighbour = Database.open(world.database.url)
    unused = await a_world(neighbour, name="unused", clock=world.clock, lockout=LIMITS)
    other = World(neighbour, world.organization, unused.authentication, world.clock)

    guesses = [attempt((world, other)[n % 2], "testuser", f"guess{n}") for n in range(30)]
    await asyncio.gather(*guesses)

    assert len(service.asked) == LIMITS.client_failures
    await other.authentication.close()
    await neighbour.close()


async def test_spellings_of_a_store_said_to_be_case_sensitive_are_one_count(
    world: World, service: LoginService
):
    """The attack: where the store is not, each spelling would be five guesses more."""
    await world.store(service.url, case_sensitive=True)
    for spelling in ("testuser", "TESTUSER", "Testuser", "tEstuser", "teStuser"):
        assert await attempt(world, spelling) == "refused"

    assert await attempt(world, "testuser", "secret") == "refused"
    assert len(service.asked) == 5


async def test_who_logs_in_under_another_spelling_begins_nobodys_count_anew(
    world: World, service: LoginService
):
    """The attack: where the store is case-sensitive, an own name beside the victim's resets its count."""
    service.users |= {"TESTUSER": "the attacker's own"}
    await world.store(service.url, case_sensitive=True)
    await attempts(world, 4, "testuser")
    assert await attempt(world, "TESTUSER", "the attacker's own") == "accepted"

    await attempts(world, 1, "testuser")

    assert await attempt(world, "testuser", "secret") == "refused"


async def test_one_name_in_two_stores_has_two_lock_outs(world: World, service: LoginService):
    await world.user("testuser")
    await world.store(service.url)

    await attempts(world, 5, "testuser")

    assert await attempt(world, "testuser", PASSWORD) == "refused"
    assert await attempt(world, "EXTERNAL/testuser", "secret") == "accepted"
    await attempts(world, 5, "EXTERNAL/testuser", "other")
    assert await attempt(world, "EXTERNAL/testuser", "secret", "other") == "refused"


async def test_right_passwords_in_parallel_are_never_refused(world: World, service: LoginService):
    await world.store(service.url)

    outcomes = await asyncio.gather(*(attempt(world, "testuser", "secret") for _ in range(40)))

    assert outcomes == ["accepted"] * 40
    assert await rows(world) == 0


async def test_outages_and_abandoned_logins_leave_nothing_behind(world: World, service: LoginService):
    await world.store(service.url, timeout_ms=20_000)
    service.mode = "hang"
    hanging = [asyncio.create_task(attempt(world, "testuser")) for _ in range(10)]
    await until(lambda: service.open_requests == LIMITS.client_failures)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    service.mode = "500"
    assert [await attempt(world, "testuser") for _ in range(4)] == ["unavailable"] * 4

    service.mode = "check"

    assert await attempt(world, "testuser", "secret") == "accepted"
    assert await rows(world) == 0


async def test_a_login_given_up_while_it_reserves_leaves_nothing_behind(world: World, service: LoginService):
    await world.store(service.url)
    for turns in range(25):
        given_up = asyncio.create_task(attempt(world, "testuser"))
        for _ in range(turns):
            await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)

    assert await attempt(world, "testuser", "secret") == "accepted"
    for _ in range(1000):  # what was given up gives its places back by itself
        if not await rows(world):
            break
        await asyncio.sleep(0.01)
    assert await rows(world) == 0


async def test_who_finds_every_place_taken_waits_no_longer_than_its_patience(
    world: World, service: LoginService
):
    impatient = LIMITS.model_copy(update={"patience": timedelta(milliseconds=200)})
    quick = await a_world(world.database, name="quick", clock=world.clock, lockout=impatient)
    await quick.store(service.url, timeout_ms=20_000)
    service.mode = "hang"
    hanging = [asyncio.create_task(attempt(quick, "testuser")) for _ in range(5)]
    await until(lambda: service.open_requests == 5)

    assert await attempt(quick, "testuser", "secret") == "unavailable"

    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    await quick.authentication.close()


async def test_a_worker_that_dies_under_way_blocks_nobody_for_long(
    world: World, clock: AdvancingClock, service: LoginService
):
    await world.store(service.url)
    lockout = world.authentication.lockout
    from ostiary.identity.lockout import identity_key

    counters = lockout.counters(world.organization.id, identity_key("EXTERNAL", "testuser"), "app")
    for _ in range(5):
        await lockout.take(counters)

    clock.advance(LIMITS.longest_login)

    assert await attempt(world, "testuser", "secret") == "accepted"


async def test_unknown_names_are_counted_too(world: World, service: LoginService):
    await world.store(service.url)

    await attempts(world, 9, "ghost")

    assert len(service.asked) == 5


async def test_counters_of_unknown_names_expire_and_are_bounded(world: World, clock: AdvancingClock):
    from ostiary.identity.repository import login_attempts as counters

    await attempts(world, 1, "ghost1")
    await attempts(world, 1, "ghost2")
    assert await rows(world) == 4

    def sweep(connection, most):
        return counters.sweep(connection, clock(), clock() - LIMITS.longest_login, most, 100)

    assert await world.database.write(lambda c: sweep(c, 3)) == 1
    clock.advance(LIMITS.user_lock)
    assert await world.database.write(lambda c: sweep(c, 1000)) == 3
    assert await rows(world) == 0


async def test_a_lock_out_ends_logins_and_no_session(world: World, service: LoginService):
    await world.store(service.url)
    subject = (await world.log_in("testuser", "secret")).subject
    for client in ("a", "b", "c"):
        await attempts(world, 4, "testuser", client)

    with pytest.raises(LoginRefused):
        await world.log_in("testuser", "secret", "d")
    standing = await world.database.read(
        lambda c: check_standing(c, world.organization.id, subject.id, world.clock)
    )

    assert standing.may_continue


async def test_counters_hold_no_name(world: World):
    await attempts(world, 1, "my-password-in-the-wrong-field")

    stored = await world.database.read(lambda c: str(c.execute(select(login_attempts)).all()))

    assert "password-in" not in stored


async def test_what_a_login_was_for_may_fail_without_charging_the_user(world: World):
    """The password was right: failures are forgotten and no place stays taken."""
    await world.user("bob")
    for _ in range(2):
        with pytest.raises(LoginRefused):
            await world.log_in("bob", "wrong")
    before = await rows(world)

    def then(_connection: Connection) -> Callable[[AuthenticatedUser], None]:
        def fail(_user: AuthenticatedUser) -> None:
            raise LookupError("no such scope")

        return fail

    with pytest.raises(LookupError):
        await world.authentication.log_in(world.organization, "bob", SecretStr(PASSWORD), "app", then)

    assert (before, await rows(world)) == (2, 0)


async def test_a_disabled_users_login_never_comes_to_what_it_was_for(world: World):
    await world.user("bob")
    await world.database.write(lambda c: disable_user(c, world.organization.id, "bob", world.clock))
    done: list[str] = []

    def then(_connection: Connection) -> Callable[[AuthenticatedUser], None]:
        return lambda user: done.append(user.subject.username)

    with pytest.raises(LoginRefused):
        await world.authentication.log_in(world.organization, "bob", SecretStr(PASSWORD), "app", then)

    assert done == []
