"""The circuit breaker of a user store."""

import pytest

from ostiary.identity.user_stores.breaker import BreakerState, CircuitBreaker, CircuitOpen


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def breaker(time: Time) -> CircuitBreaker:
    return CircuitBreaker(time, failures=3, cool_down=5)


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        breaker.enter()
        breaker.failed()


def test_it_opens_after_failures_in_a_row(breaker: CircuitBreaker):
    fail(breaker, 2)
    breaker.enter()
    breaker.succeeded()
    fail(breaker, 2)
    assert breaker.state is BreakerState.CLOSED

    fail(breaker, 1)

    with pytest.raises(CircuitOpen) as refused:
        breaker.enter()
    assert refused.value.retry_after.total_seconds() == 5


def test_after_the_cool_down_one_caller_alone_probes(breaker: CircuitBreaker, time: Time):
    fail(breaker, 3)
    time.now = 5.0

    breaker.enter()

    with pytest.raises(CircuitOpen):
        breaker.enter()


@pytest.mark.parametrize(
    ("outcome", "state"), [("succeeded", BreakerState.CLOSED), ("failed", BreakerState.OPEN)]
)
def test_the_probe_decides(breaker: CircuitBreaker, time: Time, outcome: str, state: BreakerState):
    fail(breaker, 3)
    time.now = 5.0
    breaker.enter()

    getattr(breaker, outcome)()

    assert breaker.state is state


def test_an_abandoned_probe_makes_room_for_another(breaker: CircuitBreaker, time: Time):
    fail(breaker, 3)
    time.now = 5.0
    breaker.enter()

    breaker.abandoned()

    breaker.enter()


def test_it_says_whether_it_is_open_or_would_try_again(breaker: CircuitBreaker, time: Time):
    fail(breaker, 3)
    assert breaker.state is BreakerState.OPEN

    time.now = 5.0
    assert breaker.state is BreakerState.HALF_OPEN
    breaker.enter()
    assert breaker.state is BreakerState.HALF_OPEN
