"""Plans are exact: as many calls as the plan says in each clock window, with threads, over a reload."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from tests.system.data_plane import TOKEN, Answer, DataPlane, a_decision, an_api, an_organization, running
from tests.system.waiting import until

from ostiary.gateway.haproxy import PLAN_KEY, PLAN_MAP, MapEntry, Quota

pytestmark = pytest.mark.alone

CALL = "/t/my_company/orders/1.0.0/x"


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlane]:
    resources = [("GET", "/*", ()), ("POST", "/*", ("admin",))]
    with running(
        an_organization(), an_api(production=["http://backend"], resources=resources)
    ) as running_plane:
        yield running_plane


def _day_has_time(seconds: int) -> None:
    """Wait, in the seconds before midnight UTC, until the day's windows do not end under the test."""
    until(lambda: 86400 - time.time() % 86400 > seconds, 30, "a new day")


def test_a_plan_is_exact_under_concurrency(plane: DataPlane):
    _day_has_time(20)
    plane.decide(a_decision("many", quota=Quota("exact", 100, "day")))

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: plane.get(CALL, "many").status, range(300)))

    assert statuses.count(200) == 100
    assert statuses.count(429) == 200


def test_a_throttled_call_says_when_the_window_ends(plane: DataPlane):
    _day_has_time(20)
    plane.decide(a_decision(quota=Quota("says", 0, "day")))

    before = time.time()
    answer = plane.get(CALL, TOKEN)
    after = time.time()

    midnight = (int(before) // 86400 + 1) * 86400
    opens = datetime.fromtimestamp(midnight, UTC).strftime("%Y-%b-%d %H:%M:%S+0000 UTC")
    assert answer.status == 429
    assert midnight - int(after) <= int(answer.headers["retry-after"]) <= midnight - int(before)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "code": "900804",
        "message": "Message throttled out",
        "description": f"You have exceeded your quota .You can access API after {opens}",
        "nextAccessTime": opens,
    }


def test_a_throttled_call_as_xml_has_the_throttling_namespace(plane: DataPlane):
    plane.decide(a_decision(quota=Quota("xml", 0, "day")))

    text = plane.call("GET", CALL, TOKEN, Accept="application/xml").body.decode()

    start = '<amt:fault xmlns:amt="http://wso2.org/apimanager/throttling"><amt:code>900804</amt:code>'
    assert text.startswith(start)
    assert text.endswith("</amt:nextAccessTime></amt:fault>")


def test_the_window_ends_when_it_said(plane: DataPlane):
    plane.decide(a_decision(quota=Quota("opens", 1, "second")))
    throttled = until(lambda: _refused(plane.get(CALL, TOKEN)), what="a throttled call")

    assert throttled.headers["retry-after"] == "1"
    until(lambda: plane.get(CALL, TOKEN).status == 200, 1.5, "the next window")


@pytest.mark.parametrize("per", ["second", "minute", "hour", "day", "month"])
def test_every_period_is_counted(plane: DataPlane, per: str):
    plane.decide(a_decision(quota=Quota(f"each-{per}", 1, per)))

    answer = until(lambda: _refused(plane.get(CALL, TOKEN)), what="a throttled call")

    assert 1 <= int(answer.headers["retry-after"]) <= 31 * 86400


def test_a_month_ends_with_the_calendar(plane: DataPlane):
    plane.decide(a_decision(quota=Quota("month", 0, "month")))
    now = datetime.now(UTC)
    first = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)

    answer = plane.get(CALL, TOKEN)

    assert answer.json()["nextAccessTime"] == first.strftime("%Y-%b-%d %H:%M:%S+0000 UTC")


def test_subscriptions_are_counted_apart(plane: DataPlane):
    _day_has_time(20)
    plane.decide(
        a_decision("one", quota=Quota("apart-1", 1, "day")),
        a_decision("two", quota=Quota("apart-2", 1, "day")),
    )

    statuses = [plane.get(CALL, token).status for token in ("one", "one", "two", "two")]

    assert statuses == [200, 429, 200, 429]


def test_tokens_of_one_subscription_are_counted_together(plane: DataPlane):
    _day_has_time(20)
    plane.decide(
        a_decision("one", quota=Quota("shared", 1, "day")), a_decision("two", quota=Quota("shared", 1, "day"))
    )

    assert [plane.get(CALL, token).status for token in ("one", "two")] == [200, 429]


def test_a_raised_limit_counts_only_what_was_let_through(plane: DataPlane):
    _day_has_time(20)
    plane.decide(a_decision(quota=Quota("raised", 2, "day")))
    for _ in range(10):
        plane.get(CALL, TOKEN)
    plane.decide(a_decision(quota=Quota("raised", 4, "day")))

    assert [plane.get(CALL, TOKEN).status for _ in range(4)] == [200, 200, 429, 429]


def test_a_refused_call_is_not_counted(plane: DataPlane):
    _day_has_time(20)
    plane.decide(a_decision(quota=Quota("refused", 1, "day")))

    statuses = [plane.call("POST", CALL, TOKEN).status for _ in range(3)] + [plane.get(CALL, TOKEN).status]

    assert statuses == [403, 403, 403, 200]


def test_no_quota_is_no_limit(plane: DataPlane):
    plane.decide(a_decision(quota=None))

    assert {plane.get(CALL, TOKEN).status for _ in range(50)} == {200}


def test_counters_survive_a_reload():
    """A worker teaches its successor once it has run for five seconds (HAProxy's peers, `resync`)."""
    with running(an_organization(), an_api(production=["http://backend"])) as plane:
        _day_has_time(30)
        decision = a_decision(quota=Quota("reloaded", 10, "day"))
        plane.decide(decision)
        before = [plane.get(CALL, TOKEN).status for _ in range(7)]
        until(lambda: "resync_timeout=<PAST>" in plane.told("show peers"), 8, "a worker that can teach")

        plane.reload()
        # The table of usage has nobody to teach: its worker gives that up after five seconds and ends.
        until(lambda: len(plane.workers()) == 1, 10, "the end of the old worker")
        plane.decide(decision)
        plane.set(MapEntry(PLAN_MAP, PLAN_KEY, "1"))
        after = [plane.get(CALL, TOKEN).status for _ in range(7)]

    assert before == [200] * 7
    assert after == [200] * 3 + [429] * 4


def _refused(answer: Answer) -> Answer | None:
    return answer if answer.status == 429 else None
