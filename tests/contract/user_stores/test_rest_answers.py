"""The REST user store's exact contract: what is an answer, and what is none."""

import asyncio
from datetime import timedelta

import pytest
from pydantic import SecretStr
from tests.support.identity import until
from tests.support.login_service import SERVICE_PASSWORD, SERVICE_USER, LoginService

from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity import PasswordHasher, StoreOptions
from ostiary.identity.user_stores.breaker import BreakerState, CircuitBreaker
from ostiary.identity.user_stores.contract import Refused, StoreUnavailable
from ostiary.identity.user_stores.guarded import GuardedUserStore, StoreHealth
from ostiary.identity.user_stores.rest.service import make_rest
from ostiary.identity.user_stores.rest.settings import Auth, Basic, RESTSettings
from ostiary.identity.user_stores.surroundings import Surroundings

HASHER = PasswordHasher()

TIMEOUT = timedelta(milliseconds=300)


def a_store(
    service_url: str,
    *,
    password: str | None = SERVICE_PASSWORD,
    timeout: timedelta = TIMEOUT,
    concurrency: int = 5,
    policy: OutboundPolicy | None = None,
) -> GuardedUserStore:
    auth = Auth(basic=Basic(username=SERVICE_USER, password=SecretStr(password) if password else None))
    around = Surroundings(policy or OutboundPolicy(), HASHER, StoreOptions(concurrency=concurrency))
    service = make_rest(RESTSettings(url=service_url, auth=auth), around)
    breaker = CircuitBreaker(asyncio.get_running_loop().time, failures=5, cool_down=0.2)
    return GuardedUserStore(service, timeout, concurrency, breaker)


async def ask(store: GuardedUserStore, username: str = "testuser", password: str = "secret") -> str:
    """What came of it, in one word."""
    try:
        record = await store.authenticate(username, SecretStr(password))
    except Refused as refusal:
        return "certainly refused" if refusal.certain else "refused"
    except StoreUnavailable as outage:
        return f"unavailable: {outage.reason}"
    assert record is not None
    return "accepted"


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [
        ("ok", "accepted"),
        ("refuse", "refused"),
        ("401", "unavailable: status_401"),
        ("500", "unavailable: status_500"),
        ("201", "unavailable: status_201"),
        ("redirect", "unavailable: status_302"),
        ("yes", "unavailable: not_the_agreed_form"),
        ("true", "unavailable: not_the_agreed_form"),
        ("both", "unavailable: not_the_agreed_form"),
        ("html", "unavailable: not_the_agreed_form"),
        ("empty", "unavailable: not_the_agreed_form"),
        ("huge", "unavailable: too_large"),
        ("drip", "unavailable: timeout"),
        ("hang", "unavailable: timeout"),
        ("nothing", "unavailable: protocol"),
    ],
)
async def test_only_the_agreed_form_is_an_answer(service: LoginService, mode: str, outcome: str):
    service.mode = mode
    store = a_store(service.url)
    loop = asyncio.get_running_loop()
    started = loop.time()

    assert await ask(store) == outcome

    assert loop.time() - started < 3 * TIMEOUT.total_seconds()
    await store.close()


async def test_our_wrong_credentials_for_the_service_say_nothing_about_the_user(service: LoginService):
    store = a_store(service.url, password="not the service's password")

    assert await ask(store) == "unavailable: status_401"


async def test_without_its_password_the_service_is_not_asked(service: LoginService):
    store = a_store(service.url, password=None)

    assert await ask(store) == "unavailable: its_password_is_not_set"
    assert service.asked == []


async def test_quotes_in_a_name_or_password_stay_in_their_strings(service: LoginService):
    store = a_store(service.url)

    assert await ask(store, 'a"b', 'c"}}\\') == "accepted"
    assert await ask(store, 'a"b', 'c"}}') == "refused"


async def test_nobody_listening_is_unavailable(service: LoginService):
    store = a_store(service.url)
    await service.stop()

    assert await ask(store) == "unavailable: connect"


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/login",
        "https://169.254.169.254/latest",
        "https://10.1.2.3/login",
        "https://[fe80::1]/",
    ],
)
async def test_addresses_we_do_not_go_to_are_unavailable(url: str):
    store = a_store(url)

    assert (await ask(store)).startswith("unavailable: address_refused")


async def test_connections_are_kept(service: LoginService):
    store = a_store(service.url)

    assert [await ask(store) for _ in range(10)] == ["accepted"] * 10
    assert service.connections == 1


async def test_no_more_logins_than_its_limit_reach_the_service(service: LoginService):
    service.mode = "hold"
    store = a_store(service.url, concurrency=3, timeout=timedelta(seconds=30))

    logins = [asyncio.create_task(ask(store)) for _ in range(12)]
    await until(lambda: service.open_requests == 3)
    service.released.set()

    assert await asyncio.gather(*logins) == ["accepted"] * 12
    assert service.most_open_requests == 3


async def test_waiting_for_a_place_is_part_of_the_deadline(service: LoginService):
    service.mode = "hang"
    store = a_store(service.url, concurrency=1)
    loop = asyncio.get_running_loop()
    started = loop.time()

    outcomes = await asyncio.gather(*(ask(store) for _ in range(4)))

    assert loop.time() - started < 3 * TIMEOUT.total_seconds()  # one after the other would be four
    assert "unavailable: too_many_logins" in outcomes
    assert set(outcomes) <= {"unavailable: timeout", "unavailable: too_many_logins"}


@pytest.mark.parametrize("mode", ["hang", "500", "nothing"])
async def test_a_failing_service_is_left_alone_then_probed_once(service: LoginService, mode: str):
    service.mode = mode
    store = a_store(service.url)
    await asyncio.gather(*(ask(store) for _ in range(5)))
    asked = len(service.asked)

    assert await asyncio.gather(*(ask(store) for _ in range(20))) == ["unavailable: circuit_open"] * 20
    assert len(service.asked) == asked

    await until_probed(store, service, asked)
    service.mode = "check"
    async with asyncio.timeout(5):
        while await ask(store) != "accepted":  # noqa: ASYNC110 (until the next cool-down is over)
            await asyncio.sleep(0.02)


async def until_probed(store: GuardedUserStore, service: LoginService, asked: int) -> None:
    """Ask with many at once until the cool-down is over: one alone gets through."""
    async with asyncio.timeout(5):
        while len(service.asked) == asked:
            await asyncio.gather(*(ask(store) for _ in range(5)))
            await asyncio.sleep(0.02)
    assert len(service.asked) == asked + 1


@pytest.mark.parametrize("mode", ["401", "html", "redirect", "refuse", "huge"])
async def test_a_service_that_answers_wrongly_is_not_left_alone(service: LoginService, mode: str):
    service.mode = mode
    store = a_store(service.url)
    for _ in range(8):
        await ask(store)

    service.mode = "check"

    assert await ask(store) == "accepted"


async def test_a_login_that_is_given_up_frees_its_place(service: LoginService):
    service.mode = "hang"
    store = a_store(service.url, concurrency=1, timeout=timedelta(seconds=20))
    given_up = asyncio.create_task(ask(store))
    await until(lambda: service.open_requests)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)

    service.mode = "check"

    assert await ask(store) == "accepted"


async def test_who_watches_sees_the_places_and_the_breaker(service: LoginService):
    service.mode = "hang"
    store = a_store(service.url, concurrency=2)
    assert store.health() == StoreHealth(BreakerState.CLOSED, places=2, places_in_use=0)

    logins = [asyncio.create_task(ask(store)) for _ in range(5)]
    await until(lambda: service.open_requests == 2)
    assert store.health() == StoreHealth(BreakerState.CLOSED, places=2, places_in_use=2)

    await asyncio.gather(*logins)
    service.mode = "500"
    await asyncio.gather(*(ask(store) for _ in range(5)))
    assert store.health() == StoreHealth(BreakerState.OPEN, places=2, places_in_use=0)
    await until(lambda: store.health().breaker is BreakerState.HALF_OPEN)
