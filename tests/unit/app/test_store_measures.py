"""What is counted of user stores: words of ours, made of whatever a store or its guard says."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from tests.support.login_service import SERVICE_PASSWORD, SERVICE_USER, LoginService

from ostiary.app.store_measures import StoreMeasures
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.foundation.metrics import read, write
from ostiary.identity import PasswordHasher, StoreAnswer
from ostiary.identity.user_stores.breaker import CircuitBreaker
from ostiary.identity.user_stores.contract import StoreUnavailable
from ostiary.identity.user_stores.guarded import GuardedUserStore
from ostiary.identity.user_stores.rest.service import make_rest
from ostiary.identity.user_stores.rest.settings import Auth, Basic, RESTSettings
from ostiary.identity.user_stores.surroundings import Surroundings

CONCURRENCY = 2


@pytest.fixture
async def service() -> AsyncIterator[LoginService]:
    started = await LoginService({"testuser": "secret"}).start()
    yield started
    await started.stop()


@pytest.fixture
async def store(service: LoginService) -> AsyncIterator[GuardedUserStore]:
    hasher = PasswordHasher()
    auth = Auth(basic=Basic(username=SERVICE_USER, password=SecretStr(SERVICE_PASSWORD)))
    adapter = make_rest(RESTSettings(url=service.url, auth=auth), Surroundings(OutboundPolicy(), hasher))
    breaker = CircuitBreaker(asyncio.get_running_loop().time, failures=3, cool_down=60)
    yield GuardedUserStore(adapter, timedelta(milliseconds=200), CONCURRENCY, breaker)
    await hasher.close()


async def outages(store: GuardedUserStore, logins: int) -> list[str]:
    """Why each of so many logins at once was not answered."""

    async def one() -> str:
        try:
            await store.authenticate("testuser", SecretStr("wrong"))
        except StoreUnavailable as outage:
            return outage.reason
        raise AssertionError("it was answered")

    return await asyncio.gather(*(one() for _ in range(logins)))


def counted(reasons: list[str]) -> dict[str, float]:
    measures = StoreMeasures()
    for reason in reasons:
        measures.note("acme", StoreAnswer("EXTERNAL", "unavailable", 0.1, reason))
    (family,) = [one for one in read(write(measures.families([]))) if one.name.endswith("outages")]
    return {one.labels["why"]: one.value for one in family.samples}


async def test_why_a_store_was_not_asked_is_said_in_words_of_ours(
    service: LoginService, store: GuardedUserStore
):
    service.mode = "hang"
    reasons = await outages(store, 8)  # who got a place as its deadline ended is one of the late
    service.mode = "500"
    reasons += await outages(store, 1)
    reasons += await outages(store, 4)

    said = Counter(reasons)
    assert counted(reasons) == {
        "deadline": said["timeout"],
        "places": said["too_many_logins"],
        "store": said["status_500"],
        "breaker": said["circuit_open"],
    }
    assert (said["status_500"], said["circuit_open"], said["timeout"] + said["too_many_logins"]) == (1, 4, 8)
    assert min(said.values()) > 0


def test_what_a_store_says_of_itself_is_no_label():
    """An address, a certificate's name or a code would make a series for each."""
    assert counted([f"host-{n}.internal:636: Connect call failed" for n in range(50)]) == {"store": 50}


def test_a_login_that_was_not_asked_took_no_time():
    measures = StoreMeasures()
    measures.note("acme", StoreAnswer("EXTERNAL", "locked"))

    samples = {one.name: one.value for family in read(write(measures.families([]))) for one in family.samples}
    assert samples["ostiary_logins_total"] == 1
    assert "ostiary_user_store_seconds_count" not in samples
