"""A hundred configuration changes while applications call: no call fails, and each change is felt in time.

`python -m benchmarks.changes` makes a thousand, and prints how soon each kind was felt.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.callers import Callers
from tests.system.many_changes import changes, steady_calls, summary
from tests.system.scenes import WITHIN, World
from tests.system.server import Server
from tests.system.world import LoginServices

CHANGES = 110
CALLERS = 4


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


def test_no_call_fails_while_a_hundred_changes_are_made_and_each_is_felt_within_a_second(world: World):
    server = world.server
    ca = str(server.directory / "tls" / "ca.pem")

    with Callers(server.gateway_port, *steady_calls(world, CALLERS), ca=ca) as callers:
        felt = changes(world, CHANGES)

    outcome = callers.done()
    print(summary(felt), outcome)
    assert outcome.failed == {}
    assert outcome.calls > CHANGES
    late = [one for one in felt if one.seconds > WITHIN]
    assert late == []
