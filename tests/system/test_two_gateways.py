"""Two gateway nodes, one limit: what one lets through is counted at the other."""

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.system.apart import ControlPlaneServer, GatewayServer
from tests.system.stand_ins import Backend
from tests.system.waiting import until
from tests.system.world import BOB_PASSWORD, SECRET, Caller, apply

LIMIT = 20
BETWEEN_CALLS = 0.35
"""Seconds between two calls at the same node: at one node alone 20 calls pass in 7 seconds."""
BEHIND = 2.0
"""Seconds what a node knows of the other may be old; half of it is usual."""

API = "/t/my_company/limited/1.0.0/"
ORGANIZATION = f"""\
apiVersion: ostiary/v1
organization: {{name: my_company}}
users:
  - {{username: bob, password: {BOB_PASSWORD}}}
plans:
  - {{name: Twenty, requests: {LIMIT}, per: minute}}
  - {{name: Daily, requests: {LIMIT}, per: day}}
apis:
  - name: Limited
    context: /limited
    version: 1.0.0
    state: PUBLISHED
    backend: {{production: ["http://127.0.0.1:PORT"]}}
    plans: [Twenty, Daily]
    resources: [{{method: GET, path: "/"}}]
applications:
"""
APPLICATION = f"""\
  - name: NAME
    owner: bob
    keys:
      production: {{client_id: my_company-NAME, client_secret: {SECRET}, grant_types: [client_credentials]}}
    subscriptions: [{{api: Limited, version: 1.0.0, plan: PLAN}}]
"""


@dataclass
class Two:
    """A control plane and two gateways."""

    control_plane: ControlPlaneServer
    gateways: list[GatewayServer]
    callers: list[httpx2.Client]


@dataclass
class Passed:
    """When calls passed at each of the nodes, until both had refused some."""

    at: tuple[list[float], list[float]]

    @property
    def total(self) -> int:
        return sum(map(len, self.at))

    def unseen(self) -> int:
        """What may have passed at one node before it was counted at the one that was the last to accept."""
        first, last = sorted(self.at, key=lambda times: times[-1])
        return sum(when > last[-1] - BEHIND for when in first)


@pytest.fixture(scope="module")
def two() -> Iterator[Two]:
    scratch, backend = Path(tempfile.mkdtemp(prefix="ostiary-test-")), Backend()
    control_plane = ControlPlaneServer(scratch / "cp")
    gateways = [GatewayServer(scratch / name) for name in ("gw1", "gw2")]
    applications = [
        APPLICATION.replace("NAME", name).replace("PLAN", plan)
        for name, plan in (("steady", "Twenty"), ("cautious", "Daily"))
    ]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        stack.callback(backend.stop)
        stack.callback(control_plane.stop)
        control_plane.start()
        apply(control_plane, scratch, ORGANIZATION.replace("PORT", str(backend.port)) + "".join(applications))
        for number, gateway in enumerate(gateways, 1):
            stack.callback(gateway.stop)
            gateway.enrol(control_plane, f"edge-{number}")
        https = [stack.enter_context(gateway.gateway()) for gateway in gateways]
        for http in https:
            until(lambda http=http: call(http, "no-token") == 401, what="the API at the gateway")
        yield Two(control_plane, gateways, https)


def call(http: httpx2.Client, token: str) -> int:
    return http.get(API, headers={"Authorization": f"Bearer {token}"}).status_code


def how_others_are_counted(gateway: GatewayServer) -> str:
    """What HAProxy was told of the other nodes (`haproxy/others.py`)."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(gateway.directory / "run" / "gateway.stats.sock"))
        connection.sendall(b"show map maps/others.map\n")
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def pass_all(two: Two, token: str) -> Passed:
    """Call both nodes in turn, at a steady pace, until both refuse."""
    passed, refused, due = Passed(([], [])), [False, False], time.monotonic()
    while not all(refused):
        until(lambda due=due: time.monotonic() >= due, what="the next turn")
        due += BETWEEN_CALLS
        for number, http in enumerate(two.callers):
            answer = call(http, token)
            assert answer in (200, 429)
            refused[number] = answer == 429
            if answer == 200:
                passed.at[number].append(time.monotonic())
    return passed


def test_a_limit_per_minute_is_one_over_both_nodes(two: Two):
    token = Caller(two.callers[0], "my_company", "steady").application_token()
    until(lambda: time.time() % 60 < 35, 40, "a minute that does not end meanwhile")

    passed = pass_all(two, token)

    assert LIMIT <= passed.total <= LIMIT + passed.unseen(), passed


def test_without_a_control_plane_each_node_has_its_part(two: Two):
    token = Caller(two.callers[0], "my_company", "cautious").application_token()
    assert [call(http, token) for http in two.callers] == [200, 200]
    until(lambda: all("sum" in how_others_are_counted(one) for one in two.gateways), what="both nodes told")
    two.control_plane.kill_everything()
    until(
        lambda: all("share-2" in how_others_are_counted(one) for one in two.gateways), 15, "a part for each"
    )

    statuses = [[call(http, token) for _ in range(LIMIT)] for http in two.callers]

    part = (LIMIT - 2) // 2
    assert statuses == [[200] * part + [429] * (LIMIT - part)] * 2
