"""While applications call: a hundred changes, reloads, and the loss of one process after the other.

`python -m benchmarks.changes` makes a thousand changes, and prints how soon each kind was felt.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.system.administrator import stored_decision
from tests.system.callers import Callers
from tests.system.many_changes import changes, steady_calls, summary
from tests.system.scenes import OK, WITHIN, Scene, World, application, become
from tests.system.server import Server
from tests.system.waiting import alive, until
from tests.system.world import LoginServices

pytestmark = pytest.mark.alone

CHANGES = 110
CALLERS = 4
RELOADS = 5
BACK_WITHIN = 10.0
"""Seconds for a killed process to serve again on a busy machine."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    services = LoginServices()
    server = Server(directory / "data")
    try:
        server.start()
        world = World(server, services.start().url)
        yield world
        world.close()
    finally:
        server.stop()
        services.close()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def scene(world: World) -> Scene:
    scene = Scene(world, world.organization("steady"))
    become(scene, application, OK)
    return scene


def calling(world: World, callers: int = CALLERS) -> Callers:
    """Applications that call all the time, each on a connection it keeps."""
    ca = str(world.server.directory / "tls" / "ca.pem")
    return Callers(world.server.gateway_port, *steady_calls(world, callers), ca=ca)


def test_no_call_fails_while_a_hundred_changes_are_made_and_each_is_felt_within_a_second(world: World):
    with calling(world) as callers:
        felt = changes(world, CHANGES)

    outcome = callers.done()
    print(summary(felt), outcome)
    assert outcome.failed == {}
    assert outcome.calls > CHANGES
    late = [one for one in felt if one.seconds > WITHIN]
    assert late == []


def test_reloads_drop_no_call_and_hold_up_no_change(world: World, scene: Scene):
    with calling(world) as callers:
        for _ in range(RELOADS):
            before = gateway_processes(world.server)
            os.kill(world.server.find("haproxy", "gateway.cfg"), signal.SIGUSR2)
            until(lambda known=before: gateway_processes(world.server) - known, what="a new HAProxy worker")
            felt = changes(world, 2)
            assert [one for one in felt if one.seconds > WITHIN] == []
            become(scene, application, OK)

    assert callers.done().failed == {}


def test_calls_that_are_known_go_on_while_the_agent_is_killed_and_unknown_ones_come_back(
    world: World, scene: Scene
):
    unseen = scene.got()["access_token"]
    with calling(world) as callers:
        os.kill(world.server.find("ostiary.gateway.node"), signal.SIGKILL)

        until(lambda: scene.call(unseen) == OK, BACK_WITHIN, "the agent's return")

    assert callers.done().failed == {}


def test_a_killed_haproxy_is_back_with_every_decision(world: World, scene: Scene):
    stored = until(lambda: stored_now(world, scene))
    killed = world.server.find("haproxy", "gateway.cfg")
    os.kill(killed, signal.SIGKILL)

    until(lambda: not alive(killed), what="the end of the one that was killed")
    until(lambda: answers(scene) and stored_now(world, scene), BACK_WITHIN, "HAProxy's return")

    assert stored_now(world, scene) == stored


def stored_now(world: World, scene: Scene) -> str | None:
    """What is stored about the kept token; nothing while no HAProxy can be asked."""
    try:
        return stored_decision(world.server.directory, scene.api, scene.kept())
    except (ConnectionError, FileNotFoundError):
        return None


def answers(scene: Scene) -> bool:
    try:
        return application(scene) == OK
    except httpx2.TransportError:
        return False


def test_a_control_plane_that_hangs_is_missed_by_nobody_who_has_a_token(world: World, scene: Scene):
    unseen = scene.got()["access_token"]
    worker = world.server.find("ostiary.cli.worker")
    with calling(world) as callers:
        os.kill(worker, signal.SIGSTOP)
        try:
            assert application(scene) == OK
            assert scene.call(unseen) == OK
        finally:
            os.kill(worker, signal.SIGCONT)
        until(lambda: scene.token().status_code == 200, BACK_WITHIN, "the token endpoint's return")
        assert [one for one in changes(world, 2) if one.seconds > WITHIN] == []

    assert callers.done().failed == {}


def gateway_processes(server: Server) -> set[int]:
    return {pid for pid, line in server.tree().items() if "gateway.cfg" in line}
