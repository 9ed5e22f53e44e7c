"""Which backends of APIs' own are loaded, which are quarantined, and until when."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ostiary.gateway.haproxy import OWN_CONFIG, OWN_FILES, OwnBackend
from ostiary.gateway.node.own import OwnBackends, Steady, prepare_own
from ostiary.gateway.node.runtime import RuntimeRefused, Worker
from ostiary.gateway.supervise import BadConfiguration


def a_backend(name: str, port: int = 1, section: str = "") -> OwnBackend:
    text = section or f"backend own-{name}-production from services\n    server s «1»\n"
    return OwnBackend(
        f"own-{name}-production", name, text, (("192.0.2.1", port),), {}, {f"{name}.ca.pem": "x"}
    )


@dataclass
class HAProxyStandIn:
    """Refuses configurations that say BAD, and reloads while `refuses` is unset."""

    run: Path
    checks: int = 0
    loaded: list[str] = field(default_factory=list)
    moved: list[tuple[str, str, int]] = field(default_factory=list)
    refuses: bool = False
    old: int = 0

    def check(self, run: Path, _name: str, own: str) -> None:
        self.checks += 1
        if "BAD" in (run / own).read_text():
            raise BadConfiguration("line 2: BAD")

    async def reload(self) -> None:
        if self.refuses:
            raise RuntimeRefused("no")
        self.loaded.append((self.run / OWN_CONFIG).read_text())

    async def move_servers(self, moves: Any) -> None:
        self.moved += list(moves)

    async def workers(self) -> list[Worker]:
        self.old, now = max(0, self.old - 1), self.old
        return [Worker(n, old=True) for n in range(now)]


@dataclass
class Desk:
    """The backends of a node, and what was told of them."""

    own: OwnBackends
    haproxy: HAProxyStandIn
    told: list[frozenset[str]]

    async def bring(self, **wanted: OwnBackend) -> None:
        for id, one in wanted.items():
            self.own.want(id, [one], {})
        await self.own.start()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    prepare_own(tmp_path)
    haproxy, told = HAProxyStandIn(tmp_path), list[frozenset[str]]()

    async def loaded(ids: frozenset[str]) -> None:
        told.append(ids)

    find: Callable[[], HAProxyStandIn] = lambda: haproxy  # noqa: E731
    return Desk(OwnBackends(tmp_path, find, haproxy, loaded, None), haproxy, told)  # type: ignore[arg-type]


async def test_what_is_wanted_is_loaded_and_then_in_service(desk: Desk):
    assert desk.own.item("own-a-production") == "!pending"

    await desk.bring(a=a_backend("a"))

    assert desk.own.item("own-a-production") == "@own-a-production"
    assert desk.told == [{"a"}]
    assert len(desk.haproxy.loaded) == 1


async def test_until_it_is_loaded_calls_go_where_they_went(desk: Desk):
    desk.own.want("a", [a_backend("a")], {"own-a-production": "http+…"})

    assert desk.own.item("own-a-production") == "http+…"


async def test_the_ones_that_do_not_load_are_found_and_the_others_loaded(desk: Desk):
    wanted = {f"api{n}": a_backend(f"api{n}") for n in range(20)}
    bad = {name: replace(wanted[name], section="BAD\n") for name in ("api3", "api17")}

    await desk.bring(**(wanted | bad))

    assert desk.own.quarantined == {f"own-{name}-production": "line 2: BAD" for name in bad}
    assert desk.own.item("own-api3-production") == "!quarantined"
    assert desk.own.item("own-api4-production") == "@own-api4-production"
    assert "BAD" not in desk.haproxy.loaded[-1]
    assert desk.haproxy.checks < 20


async def test_what_is_quarantined_is_tried_again_when_it_changes(desk: Desk):
    await desk.bring(a=a_backend("a", section="BAD\n"), b=a_backend("b"))
    checks = desk.haproxy.checks
    await desk.bring(b=a_backend("b", section="backend own-b-production\n"))
    assert desk.haproxy.checks == checks + 1

    await desk.bring(a=a_backend("a"))

    assert desk.own.quarantined == {}
    assert desk.own.item("own-a-production") == "@own-a-production"


async def test_a_reload_that_fails_leaves_what_was_in_place(desk: Desk):
    await desk.bring(a=a_backend("a"))
    before = (desk.haproxy.run / OWN_CONFIG).read_text()
    desk.haproxy.refuses = True

    await desk.bring(b=a_backend("b"))

    assert (desk.haproxy.run / OWN_CONFIG).read_text() == before
    assert desk.own.item("own-a-production") == "@own-a-production"
    assert desk.own.item("own-b-production") == "!quarantined"


async def test_another_address_alone_is_moved_without_a_reload(desk: Desk):
    await desk.bring(a=a_backend("a", port=1))
    running = asyncio.create_task(desk.own.run())
    desk.own.want("a", [a_backend("a", port=2)], {})
    async with asyncio.timeout(5):
        while not desk.haproxy.moved:  # noqa: ASYNC110 (it works in a thread, too)
            await asyncio.sleep(0)
    running.cancel()

    assert desk.haproxy.moved == [("own-a-production/own-a-production-1", "192.0.2.1", 2)]
    assert len(desk.haproxy.loaded) == 1
    assert "192.0.2.1:2" in (desk.haproxy.run / OWN_CONFIG).read_text()


async def test_files_are_private_and_go_with_their_api(desk: Desk):
    await desk.bring(a=a_backend("a"), b=a_backend("b"))
    folder = desk.haproxy.run / OWN_FILES
    assert {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()} == {
        "a.ca.pem": 0o600,
        "b.ca.pem": 0o600,
    }

    desk.own.want("a", [], {})
    await desk.own.start()

    assert [file.name for file in folder.iterdir()] == ["b.ca.pem"]


async def test_old_workers_are_waited_for(desk: Desk):
    desk.haproxy.old = 5

    await desk.bring(a=a_backend("a"))

    assert desk.haproxy.old < 4


def test_a_name_with_fewer_addresses_than_it_had_repeats_them():
    answers = [("192.0.2.1", "192.0.2.2"), ("192.0.2.2",), ()]
    steady = Steady(lambda *_: answers.pop(0))

    assert [steady.lookup("a.example", 80) for _ in range(3)] == [
        ("192.0.2.1", "192.0.2.2"),
        ("192.0.2.2", "192.0.2.2"),
        (),
    ]
