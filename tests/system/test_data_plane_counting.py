"""What HAProxy lets through is read from it, and none of it is lost when workers come and go."""

import asyncio
import http.client
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.system.data_plane import (
    ORDERS,
    TOKEN,
    DataPlane,
    a_decision,
    an_api,
    an_organization,
    call_on,
    running,
)
from tests.system.waiting import alive, until

from ostiary.gateway.haproxy import PLAN_KEY, PLAN_MAP, MapEntry, Quota
from ostiary.gateway.node.meter.counting import Counting
from ostiary.gateway.node.meter.reading import Lines
from ostiary.gateway.node.meter.store import CountStore
from ostiary.gateway.supervise import is_quiet

CALL = "/t/my_company/orders/1.0.0/x"
KEY = (ORDERS, "application-1", "subscription-1")


@pytest.fixture
def plane() -> Iterator[DataPlane]:
    resources = [("GET", "/*", ()), ("POST", "/*", ("admin",))]
    with running(an_organization(), an_api(production=["http://backend"], resources=resources)) as plane:
        plane.decide(a_decision())
        yield plane


@contextmanager
def counting(plane: DataPlane) -> Iterator[Counting]:
    lines = Lines(plane.folder / "gateway.master.sock", plane.folder / "gateway.stats.sock")
    store = CountStore(plane.folder / "counts.db")
    ours = Counting(lines, store, time.time, time.monotonic)
    try:
        ours.look()
        yield ours
    finally:
        ours.close()


def counted(plane: DataPlane) -> dict[tuple[str | None, ...], int]:
    """The calls that would be reported now."""
    store = CountStore(plane.folder / "counts.db")
    try:
        report = store.next_report()
        found: dict[tuple[str | None, ...], int] = {}
        for row in report.usage if report else ():
            key = (row["api_id"], row["application_id"], row["subscription_id"])
            found[key] = found.get(key, 0) + row["calls"]
            assert row["bytes"] > 0
        return found
    finally:
        store.close()


def read(ours: Counting, plane: DataPlane, pid: int) -> None:
    """Look until a worker was read to its end."""
    until(lambda: ours.look() or not alive(pid), what=f"the end of worker {pid}")


def calls(plane: DataPlane, number: int, token: str = TOKEN) -> None:
    assert {plane.get(CALL, token).status for _ in range(number)} == {200}


def test_accepted_calls_are_counted_and_refused_ones_are_not(plane: DataPlane):
    plane.decide(a_decision("limited", quota=Quota("counted", 2, "month"), subscription="subscription-2"))
    with counting(plane) as ours:
        calls(plane, 3)
        refused = [plane.call("POST", CALL, TOKEN).status, plane.get(CALL, "unknown").status]
        limited = [plane.get(CALL, "limited").status for _ in range(4)]
        (worker,) = plane.workers()
        assert plane.process is not None
        plane.process.send_signal(signal.SIGUSR1)
        read(ours, plane, worker.pid)

    assert refused == [403, 401]
    assert limited == [200, 200, 429, 429]
    assert counted(plane) == {KEY: 3, (*KEY[:2], "subscription-2"): 2}


def test_no_call_is_lost_over_a_reload(plane: DataPlane):
    """The worker before it still has a client, and its last calls are read before it may end."""
    (old,) = plane.workers()
    kept = http.client.HTTPConnection("127.0.0.1", plane.port)
    with counting(plane) as ours:
        calls(plane, 3)
        assert call_on(kept, "GET", CALL, TOKEN).status == 200
        plane.reload()
        plane.decide(a_decision())
        plane.set(MapEntry(PLAN_MAP, PLAN_KEY, "1"))
        ours.look()
        calls(plane, 5)
        assert call_on(kept, "GET", CALL, TOKEN).status == 200
        kept.close()
        read(ours, plane, old.pid)
        (new,) = plane.workers()
        assert plane.process is not None
        plane.process.send_signal(signal.SIGUSR1)
        read(ours, plane, new.pid)

    assert counted(plane) == {KEY: 10}


def test_what_was_counted_while_nobody_looked_is_counted_later(plane: DataPlane):
    """The agent was not there; the one before it had seen a part."""
    calls(plane, 3)
    with counting(plane):
        pass
    calls(plane, 4)
    with counting(plane):
        pass

    assert counted(plane) == {KEY: 7}


def test_a_killed_haproxy_costs_what_was_not_read(plane: DataPlane):
    with counting(plane) as ours:
        calls(plane, 3)
        until(lambda: ours.look() or counted_of(ours) == 3, 15, "a reading")
        (worker,) = plane.workers()
        os.kill(worker.pid, signal.SIGKILL)
        until(lambda: not alive(worker.pid))
        ours.look()

    assert counted(plane) == {KEY: 3}


def counted_of(ours: Counting) -> int:
    return sum(count.calls for counts in ours.seen().values() for count in counts.values())


def test_who_is_only_connected_does_not_hold_up_a_stop(plane: DataPlane):
    """Supervisors wait for the last reading; see `is_quiet`."""
    kept = http.client.HTTPConnection("127.0.0.1", plane.port)
    with counting(plane) as ours:
        assert call_on(kept, "GET", CALL, TOKEN).status == 200
        assert not asyncio.run(is_quiet(plane.folder, "gateway"))
        assert plane.process is not None
        plane.process.send_signal(signal.SIGUSR1)
        until(lambda: ours.look() or asyncio.run(is_quiet(plane.folder, "gateway")), 2)
    kept.close()

    assert counted(plane) == {KEY: 1}


def test_nobody_who_looks_keeps_haproxy_from_ending(plane: DataPlane):
    """A hundred looks at nothing; then the end comes at once."""
    with counting(plane) as ours:
        (worker,) = plane.workers()
        for _ in range(100):
            ours.look()
        assert plane.process is not None
        plane.process.send_signal(signal.SIGTERM)
        until(lambda: not alive(worker.pid), 1)
        ours.look()
