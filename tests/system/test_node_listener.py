"""The node listener: who a certificate says a gateway node is, and what nobody can say instead."""

import http.client
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.ports import free_port
from tests.system.data_plane import Answer, Backend, DataPlane, UnixHTTP, a_certificate, call_on

from ostiary.foundation.certificates import CertificateAuthority, Purpose, key_pem, new_key
from ostiary.gateway.enrolment import CONTROL_PLANE_NAME
from ostiary.gateway.haproxy import Listener, NodeListener, management_config
from ostiary.gateway.plan import GatewayPlan

NODE = "7b0c1f9e-0000-4000-8000-000000000001"
PLAN = "/internal/gateway/v1/plan"
WEEK = timedelta(days=7)


def an_authority() -> CertificateAuthority:
    return CertificateAuthority.create("nodes", datetime.now(UTC), WEEK)


def certified(
    folder: Path, authority: CertificateAuthority, name: str, purpose: Purpose, **more: Any
) -> Path:
    key, now = new_key(), more.pop("now", datetime.now(UTC))
    file = folder / f"{new_key().public_key().public_numbers().x:x}.pem"
    file.write_bytes(authority.issue(name, key.public_key(), purpose, now, WEEK, **more) + key_pem(key))
    return file


@dataclass
class Nodes:
    """A management HAProxy with its node listener, and a worker that says what reached it."""

    plane: DataPlane
    port: int
    authority: CertificateAuthority
    worker: UnixHTTP

    def certificate(self, name: str = NODE, purpose: Purpose = Purpose.CLIENT, **more: Any) -> Path:
        return certified(self.plane.folder, more.pop("authority", self.authority), name, purpose, **more)

    def call(self, path: str, certificate: Path | None, method: str = "GET", **headers: str) -> Answer:
        context = ssl.create_default_context(cadata=self.authority.certificate_pem.decode())
        context.check_hostname = False
        if certificate is not None:
            context.load_cert_chain(certificate)
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)
        try:
            return call_on(connection, method, path, **headers)
        finally:
            connection.close()

    def reached(self) -> list[dict[str, str]]:
        """The headers of what reached the worker, health checks aside."""
        pairs = zip(self.worker.asked, self.worker.headers, strict=False)
        return [dict(headers) for (path, _), headers in pairs if path != "/-/ready"]


@pytest.fixture(scope="module")
def started() -> Iterator[Nodes]:
    plane = DataPlane(GatewayPlan(), Backend())
    authority, port = an_authority(), free_port()
    (plane.folder / "authority.pem").write_bytes(authority.certificate_pem)
    server = certified(plane.folder, authority, "cp", Purpose.SERVER, names=[CONTROL_PLANE_NAME])
    nodes = NodeListener(port, server, plane.folder / "authority.pem", ("nodes-0.sock",))
    listener = Listener(free_port(), a_certificate(plane.folder), ("worker-0.sock",), "127.0.0.1", threads=1)
    (plane.folder / "management.cfg").write_text(management_config(listener, nodes))
    workers = [
        UnixHTTP(plane.folder / name, lambda path, _: (200, path))
        for name in ("nodes-0.sock", "worker-0.sock")
    ]
    plane.launch("management")
    try:
        yield Nodes(plane, port, authority, workers[0])
    finally:
        plane.stop()
        plane.backend.stop()
        for worker in workers:
            worker.stop()


@pytest.fixture
def nodes(started: Nodes) -> Nodes:
    started.worker.asked.clear()
    started.worker.headers.clear()
    return started


def test_a_certified_node_reaches_a_worker_under_its_own_name(nodes: Nodes):
    assert nodes.call(PLAN, nodes.certificate()).status == 200

    assert [one["x-ostiary-node"] for one in nodes.reached()] == [NODE]


def test_without_a_certificate_only_enrolling_is_passed_on(nodes: Nodes):
    assert nodes.call(PLAN, None).status == 401
    assert nodes.call("/token", None, "POST").status == 401
    assert nodes.call("/internal/gateway/v1/authority", None).status == 200
    assert nodes.call("/internal/gateway/v1/enrol", None, "POST").status == 200

    assert [one.get("x-ostiary-node") for one in nodes.reached()] == [None, None]


def test_the_certificate_of_another_authority_ends_the_handshake(nodes: Nodes):
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        nodes.call(PLAN, nodes.certificate(authority=an_authority()))

    assert nodes.reached() == []


def test_the_certificate_of_a_control_plane_is_no_nodes(nodes: Nodes):
    """What is good for servers is good for nothing else (RFC 5280 §4.2.1.12)."""
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        nodes.call(PLAN, nodes.certificate(purpose=Purpose.SERVER))


def test_a_certificate_that_is_over_ends_the_handshake(nodes: Nodes):
    long_ago = datetime.now(UTC) - 2 * WEEK

    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        nodes.call(PLAN, nodes.certificate(now=long_ago))


@pytest.mark.parametrize("spelling", ["X-Ostiary-Node", "x_ostiary_node", "X-Ostiary_Node", "X.Ostiary.Node"])
def test_nobody_says_in_a_header_which_node_it_is(nodes: Nodes, spelling: str):
    forged = {spelling: "somebody-else"}

    assert nodes.call(PLAN, None, **forged).status == 401
    nodes.call("/internal/gateway/v1/enrol", None, "POST", **forged)
    nodes.call(PLAN, nodes.certificate(), **forged)

    said = [[value for name, value in one.items() if "ostiary" in name] for one in nodes.reached()]
    assert said == [[], [NODE]]


def test_a_node_says_which_client_called_it_and_nobody_else_does(nodes: Nodes):
    """Addresses are what lock-out and limits go by."""
    header = {"X-Forwarded-For": "203.0.113.9"}
    nodes.call("/t/my_company/token", nodes.certificate(), "POST", **header)
    nodes.call("/internal/gateway/v1/enrol", None, "POST", **header)
    nodes.call(PLAN, nodes.certificate(), **header)

    assert [one["x-forwarded-for"] for one in nodes.reached()] == ["203.0.113.9", "127.0.0.1", "127.0.0.1"]


def test_nothing_but_what_a_node_needs_is_routed(nodes: Nodes):
    certificate = nodes.certificate()
    others = [
        "/",
        "/api/server/v1/gateway-nodes",
        "/oauth2/token",
        "/t/x/api/apim/v1/apis",
        "/internal/",
        "/%2e",
    ]

    assert [nodes.call(path, certificate).status for path in others] == [404] * len(others)
    assert nodes.reached() == []
