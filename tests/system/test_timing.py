"""Time tells nothing: not why a login was refused, and not that a store somewhere hangs."""

import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import pytest
from tests.system.server import Server
from tests.system.waiting import until
from tests.system.world import BOB_PASSWORD, PASSWORD, USER, Caller, LoginServices, apply, organization

ROUNDS = 200
AT_ONCE = 4
BEST_CLASSIFIER = 0.6
HANGING = 200
SAMPLES = 40
SLOWER_AT_MOST = 1.2


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Server, LoginServices]]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    services = LoginServices()
    server = Server(directory / "data")
    try:
        server.start()
        apply(
            server,
            directory,
            organization("timed", services.start().url),
            organization("hanging", services.start("hang").url, timeout_ms=5000),
        )
        yield server, services
    finally:
        server.stop()
        services.close()
        shutil.rmtree(directory, ignore_errors=True)


def test_refusals_of_four_classes_cannot_be_told_apart_by_their_time(world: tuple[Server, LoginServices]):
    server, _ = world
    caller = Caller(server.gateway(), "timed")
    for n in range(6):
        caller.login("locked-one", f"guess-{n}")
    classes = {
        "PRIMARY": lambda n: caller.login("bob", f"wrong-{n}"),
        "EXTERNAL": lambda n: caller.login(f"EXTERNAL/{USER}", f"wrong-{n}"),
        "unknown": lambda n: caller.login(f"nobody-{n}", f"wrong-{n}"),
        "locked": lambda n: caller.login("locked-one", f"wrong-{n}"),
    }
    times: dict[str, list[float]] = {name: [] for name in classes}

    def one(task: tuple[int, str]) -> None:
        n, name = task
        started = time.perf_counter()
        response = classes[name](n)
        times[name].append(time.perf_counter() - started)
        assert response.status_code == 400

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, [(n, name) for n in range(ROUNDS) for name in classes]))

    told = {pair: _auc(times[pair[0]], times[pair[1]]) for pair in combinations(classes, 2)}
    assert max(told.values()) <= BEST_CLASSIFIER, told


def test_a_hanging_store_does_not_slow_primary_users(world: tuple[Server, LoginServices]):
    server, _ = world
    caller = Caller(server.gateway(), "hanging")
    stop = threading.Event()

    def median() -> float:
        times = []
        for _ in range(SAMPLES):
            started = time.perf_counter()
            assert caller.login("bob", BOB_PASSWORD).status_code == 200
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    def hang(n: int) -> None:
        while not stop.is_set():
            caller.login(f"outsider-{n}", PASSWORD)
            stop.wait(0.5)

    calm = median()
    threads = [threading.Thread(target=hang, args=(n,), daemon=True) for n in range(HANGING)]
    for thread in threads:
        thread.start()
    try:
        busy = min(median(), median())
    finally:
        stop.set()
    for thread in threads:
        thread.join(10)
    until(lambda: not any(thread.is_alive() for thread in threads), 10, "the end of the hanging logins")
    assert busy <= SLOWER_AT_MOST * calm, (calm, busy)


def _auc(left: list[float], right: list[float]) -> float:
    """How often a classifier by time alone would be right about a pair; 0.5 is guessing."""
    greater = sum((a > b) + 0.5 * (a == b) for a in left for b in right)
    share = greater / (len(left) * len(right))
    return max(share, 1 - share)
