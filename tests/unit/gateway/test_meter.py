"""The meter between a HAProxy, its file and a control plane."""

from __future__ import annotations

import socketserver
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from ostiary.gateway.haproxy import others_entry, others_mode
from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown
from ostiary.gateway.node.meter import Meter

NOW = 1_800_000_000.0
DAY = f"s|{int(NOW) // 86400}"
WORKER = "7 worker 0 0d00h00m01s 2.8\n"
STANDING = "Pid: 7\nStart_time_sec: 1\nStopping: 0\nCurrConns: 0\n"


class _HAProxy(socketserver.StreamRequestHandler):
    """One worker that has counted five calls of the day."""

    def handle(self) -> None:
        for line in self.rfile:
            match line.decode().split():
                case ["show", "proc"]:
                    answer = WORKER
                case ["show", "info"]:
                    answer = STANDING
                case ["show", "table", name]:
                    entry = f"0x1: key={DAY} use=0 exp=1 shard=0 gpc0=5\n" if name == "per_day" else ""
                    answer = f"# table: {name}, type: string\n{entry}"
                case _:
                    continue
            self.wfile.write(answer.encode() + b"\n")


class _ControlPlane:
    """Says how many nodes there are, and that the others have counted four."""

    def __init__(self) -> None:
        self.nodes = 2
        self.is_down = False
        self.heard: list[Mapping[str, int] | None] = []

    async def exchange_counts(
        self, windows: Sequence[str], counts: Mapping[str, int] | None
    ) -> tuple[int, Mapping[str, int]]:
        assert DAY.partition("|")[2] in windows
        self.heard.append(counts)
        if self.is_down:
            raise ControlPlaneDown
        return self.nodes, {DAY: 4} if self.nodes > 1 else {}


@pytest.fixture
def run() -> Iterator[Path]:
    """Short, as paths of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="ostiary-test-") as folder:
        yield from haproxy_in(Path(folder))


def haproxy_in(folder: Path) -> Iterator[Path]:
    servers = [
        socketserver.ThreadingUnixStreamServer(str(folder / f"gateway.{name}.sock"), _HAProxy)
        for name in ("master", "stats")
    ]
    for server in servers:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield folder
    for server in servers:
        server.shutdown()
        server.server_close()


class _Ticks:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        """A clock that goes on by more than any pause each time it is read."""
        self.seconds += 10
        return self.seconds


@pytest.fixture
def control_plane() -> _ControlPlane:
    return _ControlPlane()


@pytest.fixture
async def meter(run: Path, control_plane: _ControlPlane) -> AsyncIterator[Meter]:
    meter = a_meter(run, control_plane)
    yield meter
    await meter.close()


def a_meter(run: Path, control_plane: _ControlPlane) -> Meter:
    return Meter(run, run, cast("ControlPlane", control_plane), lambda: NOW, _Ticks())


async def test_counts_are_told_when_they_changed(meter: Meter, control_plane: _ControlPlane):
    await meter.share()
    await meter.look()
    await meter.share()
    await meter.share()

    assert control_plane.heard == [None, {DAY: 5}, None]


async def test_after_an_outage_counts_are_told_again(meter: Meter, control_plane: _ControlPlane):
    await meter.share()
    await meter.look()
    await meter.share()
    control_plane.is_down = True
    await meter.share()
    control_plane.is_down = False
    await meter.share()

    assert control_plane.heard == [None, {DAY: 5}, None, {DAY: 5}]


async def test_a_node_alone_tells_nothing(meter: Meter, control_plane: _ControlPlane):
    control_plane.nodes = 1
    await meter.look()
    await meter.share()
    await meter.share()

    assert control_plane.heard == [None, None]
    assert await meter.look() == []


async def test_what_others_counted_goes_to_haproxy(meter: Meter):
    await meter.share()

    assert await meter.look() == [others_entry(DAY, 4, 0), others_mode(0)]


async def test_how_many_nodes_there_are_is_known_after_a_start_while_nobody_says_so(
    run: Path, control_plane: _ControlPlane
):
    first = a_meter(run, control_plane)
    await first.share()
    await first.close()
    control_plane.is_down = True
    second = a_meter(run, control_plane)
    await second.share()

    assert others_mode(2) in await second.look()
    await second.close()


async def test_what_cannot_be_written_is_said_once_and_limits_go_on(run: Path, meter: Meter):
    with closing(sqlite3.connect(run / "counts.db")) as other:
        other.execute("DROP TABLE windows")

    with capture_logs() as logs:
        await meter.share()
        changes = [*await meter.look(), *await meter.look(), *await meter.look()]

    assert [entry["event"] for entry in logs] == ["counts_not_written"]
    assert changes == [others_entry(DAY, 4, 0), others_mode(0)]
