"""Time tells nothing: not why a login was refused, and not that a store somewhere hangs."""

import base64
import random
import select
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import combinations
from pathlib import Path

import httpx2
import pytest
from tests.support.login_service import LoginService
from tests.system.server import Server
from tests.system.waiting import until
from tests.system.world import BOB_PASSWORD, SECRET, USER, Caller, LoginServices, apply, organization

pytestmark = pytest.mark.alone

ROUNDS = 200
AT_ONCE = 4
BEST_CLASSIFIER = 0.6
HANGING = ("hanging-1", "hanging-2")
HANGING_LOGINS = 200
SAMPLES = 15
SLOWER_AT_MOST = 1.2


class World:
    """A server; an organization whose refusals are timed; four whose login service never answers."""

    def __init__(self, server: Server, hanging: dict[str, LoginService]) -> None:
        self.server = server
        self.hanging = hanging
        self.http = server.gateway()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    services = LoginServices()
    server = Server(directory / "data", http=True)
    try:
        server.start()
        hanging = {name: services.start("hang") for name in HANGING}
        texts = [organization(name, service.url, timeout_ms=5000) for name, service in hanging.items()]
        apply(server, directory, organization("timed", services.start().url), *texts)
        yield World(server, hanging)
    finally:
        server.stop()
        services.close()
        shutil.rmtree(directory, ignore_errors=True)


def test_refusals_of_four_classes_cannot_be_told_apart_by_their_time(world: World):
    caller = Caller(world.http, "timed")
    for n in range(6):
        caller.login("locked-one", f"guess-{n}")
    classes = {
        "PRIMARY": lambda n: caller.login("bob", f"wrong-{n}"),
        "EXTERNAL": lambda n: caller.login(f"EXTERNAL/{USER}", f"wrong-{n}"),
        "unknown": lambda n: caller.login(f"nobody-{n}", f"wrong-{n}"),
        "locked": lambda n: caller.login("locked-one", f"wrong-{n}"),
    }
    told = _told_apart(classes)

    assert max(told.values()) <= BEST_CLASSIFIER, told


def _told_apart(classes: dict[str, Callable[[int], httpx2.Response]]) -> dict[tuple[str, str], float]:
    """How well each pair of classes is told apart by time. In random turns, so that no place is anybody's."""
    times: dict[str, list[float]] = {name: [] for name in classes}

    def one(task: tuple[int, str]) -> None:
        n, name = task
        started = time.perf_counter()
        response = classes[name](n)
        times[name].append(time.perf_counter() - started)
        assert response.status_code == 400

    turns = [(n, name) for n in range(ROUNDS) for name in random.sample(list(classes), len(classes))]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, turns))
    return {pair: _auc(times[pair[0]], times[pair[1]]) for pair in combinations(classes, 2)}


def test_hanging_logins_do_not_slow_primary_users(world: World):
    """In turns: calm, then while 200 logins wait for a store that never answers."""
    calm: list[float] = []
    busy: list[float] = []
    for name in HANGING:
        caller = Caller(world.http, name)
        calm += [_login_time(caller) for _ in range(SAMPLES)]
        with _hanging_logins(world, name):
            busy += [_login_time(caller) for _ in range(SAMPLES)]

    assert statistics.median(busy) <= SLOWER_AT_MOST * statistics.median(calm), (calm, busy)


def _login_time(caller: Caller) -> float:
    started = time.perf_counter()
    assert caller.login("bob", BOB_PASSWORD).status_code == 200
    return time.perf_counter() - started


@contextmanager
def _hanging_logins(world: World, name: str) -> Iterator[None]:
    """Keep 200 logins of outside users open; ends when the server has answered all of them."""
    store = world.hanging[name]
    with ExitStack() as stack:
        waiting = [
            stack.enter_context(socket.create_connection(("127.0.0.1", world.server.http_port), 20))
            for _ in range(HANGING_LOGINS)
        ]
        for n, connection in enumerate(waiting):
            connection.sendall(_login_request(name, f"EXTERNAL/outsider-{n}@{name}"))
        until(lambda: store.open_requests > 0, what="hanging logins")
        yield
        answered = select.select(waiting, [], [], 0)[0]
        assert len(answered) < HANGING_LOGINS / 2, "the hanging logins were over before the measurement was"
        assert all(connection.recv(12).endswith(b"503") for connection in waiting)


def _login_request(organization_name: str, username: str) -> bytes:
    credentials = base64.b64encode(f"{organization_name}-mobile:{SECRET}".encode()).decode()
    body = f"grant_type=password&username={username}&password=anything"
    lines = (
        "POST /token HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        f"Authorization: Basic {credentials}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        "",
        body,
    )
    return "\r\n".join(lines).encode()


def _auc(left: list[float], right: list[float]) -> float:
    """How often a classifier by time alone would be right about a pair; 0.5 is guessing."""
    greater = sum((a > b) + 0.5 * (a == b) for a in left for b in right)
    share = greater / (len(left) * len(right))
    return max(share, 1 - share)
