"""Changes reach every worker while HAProxy's master is not there: it listens to nobody while it reloads.

On a busy machine that takes seconds, in which a publication was not felt and a new worker held calls back.
"""

import http.client
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from tests.system.data_plane import TOKEN, DataPlane, a_decision, an_api, an_organization, call_on, running
from tests.system.node import until_async
from tests.system.waiting import until

from ostiary.gateway.haproxy import PLAN_KEY, PLAN_MAP, MapEntry, decision_entry
from ostiary.gateway.node.processes import Worker, is_alive
from ostiary.gateway.node.runtime import HAProxyRuntime, RuntimeUnavailable

CALL = "/t/my_company/orders/1.0.0/1"
GRANT = decision_entry(a_decision(lifetime=86_400))  # made when the run begins
LOST = MapEntry(GRANT.map, GRANT.key, None)
LARGE = [(f"key-{number}", "x" * 1000) for number in range(200)]


@pytest.fixture
def plane() -> Iterator[DataPlane]:
    with running(an_organization(), an_api(production=["http://backend"])) as plane:
        yield plane


@pytest.fixture
async def runtime(plane: DataPlane) -> AsyncIterator[HAProxyRuntime]:
    runtime = HAProxyRuntime(plane.folder / "gateway.master.sock", plane.folder / "gateway.stats.sock")
    await runtime.workers()
    yield runtime
    runtime.close()


@contextmanager
def no_master(plane: DataPlane, runtime: HAProxyRuntime) -> Iterator[None]:
    """Nobody is reached at the master's socket, and whoever was is gone."""
    socket = plane.folder / "gateway.master.sock"
    socket.rename(socket.with_suffix(".away"))
    runtime._drop(0)
    try:
        yield
    finally:
        socket.with_suffix(".away").rename(socket)


async def test_the_worker_is_changed_at_once(plane: DataPlane, runtime: HAProxyRuntime):
    assert plane.get(CALL, TOKEN).status == 401
    with no_master(plane, runtime):
        began = time.monotonic()
        await runtime.apply([GRANT])
        granted, took = plane.get(CALL, TOKEN).status, time.monotonic() - began
        await runtime.apply([LOST])

    assert (granted, plane.get(CALL, TOKEN).status) == (200, 401)
    assert took < 1


async def test_a_worker_that_is_new_is_found_and_the_one_before_goes_on_being_changed(
    plane: DataPlane, runtime: HAProxyRuntime
):
    kept = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=10)
    assert call_on(kept, "GET", CALL, TOKEN).status == 401
    (before,) = await runtime.workers()
    await runtime.reload()

    with no_master(plane, runtime):
        found = {worker.pid for worker in await runtime.workers()}
        await runtime.apply([GRANT, MapEntry(PLAN_MAP, PLAN_KEY, "2")])
        old, new = call_on(kept, "GET", CALL, TOKEN).status, plane.get(CALL, TOKEN).status
    kept.close()

    assert before.pid in found
    assert len(found) == 2
    assert (old, new) == (200, 200)


async def test_whole_maps_are_replaced_and_counted(plane: DataPlane, runtime: HAProxyRuntime):
    (worker,) = await runtime.workers()
    with no_master(plane, runtime):
        await runtime.replace({GRANT.map: [*LARGE, (GRANT.key, GRANT.value or "")]})
        sizes = await runtime.sizes(worker.pid)

    assert sizes[GRANT.map] == len(LARGE) + 1
    assert plane.get(CALL, TOKEN).status == 200


async def test_nobody_keeps_a_worker_alive_that_is_to_end(plane: DataPlane, runtime: HAProxyRuntime):
    (before,) = await runtime.workers()
    await runtime.reload()

    async def ended() -> bool:
        return before.pid not in {worker.pid for worker in await runtime.workers()}

    await until_async(ended)
    until(lambda: not is_alive(before.pid), what="the end of the worker before")


async def test_without_haproxy_nobody_is_reached(plane: DataPlane, runtime: HAProxyRuntime):
    plane.stop_haproxy()

    with pytest.raises(RuntimeUnavailable):
        await runtime.workers()


async def test_a_worker_is_reached_by_the_master_alone_where_nothing_else_is_said(plane: DataPlane):
    runtime = HAProxyRuntime(plane.folder / "gateway.master.sock")
    (worker,) = await runtime.workers()
    with no_master(plane, runtime), pytest.raises(RuntimeUnavailable):
        await runtime.workers()
    runtime.close()

    assert isinstance(worker, Worker)
