"""Limits besides a plan: each level exact, refused calls counted nowhere, the longest wait is named."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.system.data_plane import Answer, DataPlane, a_decision, an_api, an_organization, running, sha256
from tests.system.waiting import until

from ostiary.gateway.haproxy import PLAN_KEY, PLAN_MAP, MapEntry, Quota
from ostiary.gateway.haproxy.decisions import PERIODS

pytestmark = pytest.mark.alone

A_DAY = {"requests": 100, "per": "day"}
LIMITED_API = "00000000-0000-4000-8000-0000000000a1"
LIMITED_RESOURCE = "00000000-0000-4000-8000-0000000000a2"
PLAIN = "00000000-0000-4000-8000-0000000000a3"
BOTH = "00000000-0000-4000-8000-0000000000a4"
CODES = {
    "quota": "900804",
    "burst": "900807",
    "bandwidth": "900804",
    "application": "900803",
    "api": "900800",
    "resource": "900802",
}


def _apis() -> list[Any]:
    resources = [
        ("GET", "/*", ()),
        ("GET", "/few/{id}", ()),
        ("POST", "/few/{id}", ()),
        ("PUT", "/*", ("admin",)),
    ]

    def api(id: str, context: str, **how: Any) -> Any:
        return an_api(id, context=context, production=["http://backend"], resources=resources, **how)

    few = {("GET", "/few/{id}"): A_DAY}
    return [
        api(LIMITED_API, "/api", limit=A_DAY),
        api(LIMITED_RESOURCE, "/resource", limits=few),
        api(PLAIN, "/plain"),
        api(
            BOTH,
            "/both",
            limit={"requests": 2, "per": "month"},
            limits={("GET", "/few/{id}"): {"requests": 1, "per": "hour"}},
        ),
    ]


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlane]:
    with running(an_organization(), *_apis()) as running_plane:
        until(lambda: 86400 - time.time() % 86400 > 60, 70, "a day that does not end under the tests")
        yield running_plane


def _called(plane: DataPlane, context: str, token: str, path: str = "few/1", method: str = "GET") -> Answer:
    return plane.call(method, f"/t/my_company/{context}/1.0.0/{path}", token)


LEVELS: dict[str, tuple[str, Callable[[str], dict[str, Quota]]]] = {
    "application": (PLAIN, lambda key: {"application": Quota(key, 100, "day")}),
    "api": (LIMITED_API, lambda _: {}),
    "resource": (LIMITED_RESOURCE, lambda _: {}),
}
CONTEXTS = {PLAIN: "plain", LIMITED_API: "api", LIMITED_RESOURCE: "resource", BOTH: "both"}


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_exact_under_concurrency(plane: DataPlane, level: str):
    """Forty credentials of as many subscriptions, which only this level has in common."""
    api, limits = LEVELS[level]
    tokens = [f"{level}-{number}" for number in range(40)]
    plane.decide(
        *(
            a_decision(token, api=api, quota=Quota(f"plan-{token}", 1000, "day"), **limits(f"exact-{level}"))
            for token in tokens
        )
    )

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: _called(plane, CONTEXTS[api], tokens[n % 40]), range(300)))

    assert [one.status for one in answers].count(200) == 100
    assert {one.json()["code"] for one in answers if one.status == 429} == {CODES[level]}
    assert len([one for one in answers if one.status == 429]) == 200


def test_a_burst_is_exact_under_concurrency(plane: DataPlane):
    """Calls of the next minute are counted apart: where it begins meanwhile, all is done again."""

    def burst(number: int) -> tuple[bool, list[Answer]]:
        burst = Quota(f"burst-{number}:b", 30, "minute")
        quota = Quota(f"burst-{number}", 1000, "day")
        plane.decide(a_decision(f"burst-{number}", api=PLAIN, quota=quota, burst=burst))
        minute = time.time() // 60
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: _called(plane, "plain", f"burst-{number}"), range(90)))
        return time.time() // 60 == minute, answers

    answers = next(answers for is_one_minute, answers in map(burst, range(5)) if is_one_minute)

    assert [one.status for one in answers].count(200) == 30
    assert {one.json()["code"] for one in answers if one.status == 429} == {"900807"}


def test_two_levels_under_concurrency_let_through_the_smaller_number(plane: DataPlane):
    """Calls that lose at one level are taken back at the other: what is left there can be used later."""
    shared = {"application": Quota("race-app", 60, "day")}
    plane.decide(a_decision("race-1", api=PLAIN, quota=Quota("race-1", 20, "day"), **shared))
    plane.decide(a_decision("race-2", api=PLAIN, quota=Quota("race-2", 1000, "day"), **shared))

    with ThreadPoolExecutor(16) as pool:
        first = list(pool.map(lambda _: _called(plane, "plain", "race-1").status, range(100)))
    second = [_called(plane, "plain", "race-2").status for _ in range(60)]

    assert first.count(200) == 20
    assert second == [200] * 40 + [429] * 20


@pytest.mark.parametrize("tight", ["quota", "burst", "bandwidth", "application"])
def test_what_one_level_refuses_counts_at_no_other(plane: DataPlane, tight: str):
    token, wide = f"none-{tight}", {"quota": 1, "burst": 1, "bandwidth": 1, "application": 1}
    limits = {level: Quota(f"{level}:{token}", n, "day") for level, n in wide.items()} | {
        "burst": Quota(f"burst:{token}", 1, "minute")
    }
    limits[tight] = Quota(limits[tight].key, 0, limits[tight].per)
    plane.decide(a_decision(token, api=PLAIN, **limits))

    refused = [_called(plane, "plain", token) for _ in range(5)]
    limits.pop(tight)
    plane.decide(a_decision(token, api=PLAIN, **{"quota": None, **limits}))

    assert [one.status for one in refused] == [429] * 5
    assert {one.json()["code"] for one in refused} == {CODES[tight]}
    assert _called(plane, "plain", token).status == 200


def test_what_a_plan_refuses_counts_neither_at_the_api_nor_at_the_resource(plane: DataPlane):
    plane.decide(a_decision("poor", api=BOTH, quota=Quota("poor", 0, "month")))
    plane.decide(a_decision("scopeless", api=BOTH), a_decision("rich", api=BOTH))

    refused = [_called(plane, "both", "poor").status for _ in range(5)]
    refused += [_called(plane, "both", "scopeless", "many", "PUT").status for _ in range(5)]
    passed = [_called(plane, "both", "rich", path).status for path in ("few/1", "few/2", "many", "many")]

    assert refused == [429] * 5 + [403] * 5
    assert passed == [200, 429, 200, 429]


def test_a_resource_is_counted_whatever_its_placeholders_are_and_by_method(plane: DataPlane):
    key = sha256("GET:/few/{}")[:16]
    seen = [line for line in plane.told("show table per_day").splitlines() if LIMITED_RESOURCE in line]
    if not seen:  # this test may run alone
        plane.decide(a_decision("one", api=LIMITED_RESOURCE))
        _called(plane, "resource", "one", "few/7")
        seen = [line for line in plane.told("show table per_day").splitlines() if LIMITED_RESOURCE in line]

    (line,) = seen
    assert f"key={LIMITED_RESOURCE}.{key}|" in line
    plane.decide(a_decision("other", api=LIMITED_RESOURCE))
    assert _called(plane, "resource", "other", method="POST").status == 200


def test_users_of_an_application_are_counted_apart(plane: DataPlane):
    plane.decide(
        a_decision("alice", api=PLAIN, application=Quota("app:alice", 1, "day")),
        a_decision("bob", api=PLAIN, application=Quota("app:bob", 1, "day")),
    )

    statuses = [_called(plane, "plain", user).status for user in ("alice", "alice", "bob", "bob")]

    assert statuses == [200, 429, 200, 429]


def test_the_level_that_lasts_longest_is_named(plane: DataPlane):
    """Whoever waits as told is let through then, or told a longer wait that has begun since."""
    now = datetime.now(UTC)
    month = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    plane.decide(
        a_decision(
            "all",
            api=PLAIN,
            quota=Quota("all", 0, "minute"),
            burst=Quota("burst:all", 0, "second"),
            bandwidth=Quota("all", 0, "minute"),
            application=Quota("app:all", 0, "month"),
        )
    )

    before = time.time() - 0.01  # the clock that C's time() reads is up to a tick of the kernel behind
    answer = _called(plane, "plain", "all")
    after = time.time()

    left = int(answer.headers["retry-after"])
    assert month.timestamp() - int(after) <= left <= month.timestamp() - int(before)
    assert answer.json()["code"] == "900803"
    assert answer.json()["nextAccessTime"] == month.strftime("%Y-%b-%d %H:%M:%S+0000 UTC")


def test_of_levels_that_end_together_the_callers_own_is_named(plane: DataPlane):
    plane.decide(
        a_decision("tie", api=PLAIN, quota=Quota("tie", 0, "day"), application=Quota("tie:tie", 0, "day"))
    )

    assert _called(plane, "plain", "tie").json()["code"] == "900804"


def test_a_burst_ends_when_it_said(plane: DataPlane):
    plane.decide(a_decision("short", api=PLAIN, burst=Quota("burst:short", 1, "second")))
    throttled = until(lambda: _refused(_called(plane, "plain", "short")), what="a throttled call")

    assert throttled.headers["retry-after"] == "1"
    until(lambda: _called(plane, "plain", "short").status == 200, 1.5, "the next second")


@pytest.mark.parametrize(
    ("level", "per"),
    [
        *(("burst", per) for per in ("second", "minute")),
        *(("application", per) for per in PERIODS),
        *(("bandwidth", per) for per in PERIODS),
    ],
)
def test_every_period_is_counted(plane: DataPlane, level: str, per: str):
    token = f"{level}-{per}"
    plane.decide(a_decision(token, api=PLAIN, **{level: Quota(f"{level}:{token}", 1, per)}))

    answer = until(lambda: _refused(_called(plane, "plain", token)), what="a throttled call")

    assert answer.json()["code"] == CODES[level]
    assert 1 <= int(answer.headers["retry-after"]) <= 31 * 86400


def test_bandwidth_counts_what_goes_in_and_out(plane: DataPlane):
    """The backend echoes: 40 KB in are more than 80 KB altogether."""
    plane.decide(a_decision("heavy", api=PLAIN, bandwidth=Quota("heavy", 170, "day")))
    big = b"x" * 40_960

    def post() -> int:
        return plane.call("POST", "/t/my_company/plain/1.0.0/few/1", "heavy", big).status

    assert [post() for _ in range(4)] == [200, 200, 200, 429]


def test_bytes_of_refused_calls_are_not_counted(plane: DataPlane):
    plane.decide(
        a_decision("big", api=PLAIN, bandwidth=Quota("big", 10, "day"), quota=Quota("big", 0, "day"))
    )
    for _ in range(3):
        plane.call("POST", "/t/my_company/plain/1.0.0/few/1", "big", b"x" * 20_000)
    plane.decide(a_decision("big", api=PLAIN, bandwidth=Quota("big", 10, "day")))

    assert _called(plane, "plain", "big").status == 200


def test_the_log_says_which_level_refused(plane: DataPlane):
    plane.decide(a_decision("logged", api=PLAIN, application=Quota("app:logged", 0, "day")))

    _called(plane, "plain", "logged")

    until(lambda: '"refusal":"throttled_application"' in plane.logged(), what="a line")
    assert '"code":"900803","wanted":"0 per day"' in plane.logged()


def test_counters_of_every_level_survive_a_reload():
    with running(an_organization(), *_apis()) as plane:
        decisions = [
            a_decision("app", api=PLAIN, application=Quota("app:r", 3, "month")),
            a_decision("bytes", api=PLAIN, bandwidth=Quota("bytes", 30, "month")),
            a_decision("both", api=BOTH),
        ]
        plane.decide(*decisions)
        before = [
            _called(plane, context, token).status for context, token in (("plain", "app"), ("both", "both"))
        ]
        plane.call("POST", "/t/my_company/plain/1.0.0/few/1", "bytes", b"x" * 20_000)
        until(lambda: "resync_timeout=<PAST>" in plane.told("show peers"), 8, "a worker that can teach")

        plane.reload()
        # The table of usage has nobody to teach: its worker gives that up after five seconds and ends.
        until(lambda: len(plane.workers()) == 1, 10, "the end of the old worker")
        plane.decide(*decisions)
        plane.set(MapEntry(PLAN_MAP, PLAN_KEY, "1"))
        after = [_called(plane, "plain", "app").status for _ in range(3)]
        after += [_called(plane, "both", "both", path).status for path in ("few/1", "many", "many")]
        heavy = _called(plane, "plain", "bytes")

    assert before == [200, 200]
    assert after == [200, 200, 429, 429, 200, 429]
    assert (heavy.status, heavy.json()["code"]) == (429, "900804")


def _refused(answer: Answer) -> Answer | None:
    return answer if answer.status == 429 else None
