"""Control plane and gateway on machines of their own: two process trees that share nothing but TLS."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.system.apart import ControlPlaneServer, GatewayServer
from tests.system.waiting import until
from tests.system.world import Caller, LoginServices, apply, backend, organization


@dataclass
class Apart:
    """Everything of the story, on two machines."""

    control_plane: ControlPlaneServer
    gateway: GatewayServer
    caller: Caller
    scratch: Path


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    scratch = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    services = LoginServices()
    control_plane, gateway = ControlPlaneServer(scratch / "cp"), GatewayServer(scratch / "gw")
    try:
        control_plane.start()
        gateway.enrol(control_plane)
        with backend(gateway, "my_company") as url, gateway.gateway() as http:
            apply(control_plane, scratch, organization("my_company", services.start().url, url))
            caller = Caller(http, "my_company")
            until(lambda: caller.login().status_code == 200, what="a token through the gateway")
            caller.once_published(caller.access_token())
            yield Apart(control_plane, gateway, caller, scratch)
    finally:
        gateway.stop()
        control_plane.stop()
        services.close()
        shutil.rmtree(scratch, ignore_errors=True)


@pytest.fixture
def back(apart: Apart) -> Iterator[Apart]:
    """The same; afterwards everything runs again."""
    yield apart
    for server in (apart.control_plane, apart.gateway):
        if server.process is None or server.process.poll() is not None:
            server.start()
    until(lambda: apart.caller.login().status_code == 200, 10, "a token through the gateway")


def test_the_story_is_performed_over_two_machines(apart: Apart):
    caller = apart.caller
    token = caller.access_token()

    called = caller.call(token)

    assert called.status_code == 200, called.text
    assert called.json()["enduser"] == "EXTERNAL/testuser@my_company"
    assert caller.login(password="wrong").status_code == 400
    caller.revoke(token)
    until(lambda: caller.call(token).status_code == 401, 1.5, "the revocation")


def test_the_node_is_listed_and_its_key_is_published(apart: Apart):
    with apart.control_plane.management() as http:
        published = http.get("/t/my_company/gateway/jwks").json()["keys"]

    assert len(published) == 1
    assert published == apart.caller.http.get("/gateway/jwks").json()["keys"]
    until(lambda: "connected" in apart.control_plane.listed(), what="the node connected")


def test_nothing_of_the_control_planes_is_on_the_gateways_machine(apart: Apart):
    here = {path.name for path in apart.gateway.directory.rglob("*")}

    assert here & {"ostiary.db", "secret.key", "admin-password", "credential", "node-authority.pem"} == set()
    private = [*(apart.gateway.directory / "node").iterdir()]
    assert {oct(path.stat().st_mode & 0o077) for path in private} == {"0o0"}


def test_the_gateway_listener_serves_nothing_internal(apart: Apart):
    for path in (
        "/internal/gateway/v1/plan",
        "/internal/gateway/v1/authority",
        "/api/server/v1/gateway-nodes",
    ):
        assert apart.caller.http.get(path).status_code == 404, path


def test_while_the_control_plane_is_killed_known_callers_go_on_and_others_wait(back: Apart):
    caller, token, other = back.caller, back.caller.access_token(), back.caller.access_token()
    assert caller.call(token).status_code == 200
    back.control_plane.kill_everything()

    seen, unseen, login = caller.call(token), caller.call(other), caller.login()

    assert (seen.status_code, unseen.status_code) == (200, 200)
    assert (login.status_code, login.json()["error"]) == (503, "temporarily_unavailable")
    assert login.headers["retry-after"] == "5"
    back.control_plane.start()
    until(lambda: caller.login().status_code == 200, 10, "a token again")
    caller.revoke(token)
    until(lambda: caller.call(token).status_code == 401, 5, "the revocation")


def test_a_gateway_starts_and_serves_while_no_control_plane_answers(back: Apart):
    token = back.caller.access_token()
    revoked = back.caller.access_token()
    back.caller.revoke(revoked)
    until(lambda: back.caller.call(revoked).status_code == 401, 5, "the revocation")
    back.control_plane.kill_everything()
    back.gateway.kill_everything()

    back.gateway.start()

    assert back.caller.call(token).status_code == 200
    assert back.caller.call(revoked).status_code == 401


def test_a_gateway_that_is_killed_comes_back_by_itself_with_what_changed_meanwhile(back: Apart):
    token = back.caller.access_token()
    back.gateway.kill_everything()
    with back.control_plane.management() as http:
        form, auth = {"token": token}, back.caller.credentials
        assert http.post("/oauth2/revoke", data=form, auth=auth).status_code == 200

    back.gateway.start()

    until(lambda: back.caller.call(token).status_code == 401, 5, "the revocation")


def test_killed_parts_of_a_gateway_come_back(apart: Apart):
    token = apart.caller.access_token()
    for words in (("ostiary.gateway.node",), ("haproxy", "gateway.cfg")):
        os.kill(apart.gateway.find(*words), signal.SIGKILL)
        until(lambda: _answers(apart, token), 15, f"calls after {words} was killed")


def _answers(apart: Apart, token: str) -> bool:
    try:
        return apart.caller.call(token).status_code == 200
    except httpx2.HTTPError:
        return False


def test_a_second_gateway_serves_and_signs_for_itself(apart: Apart):
    token = apart.caller.access_token()
    second = GatewayServer(apart.scratch / "gw2")
    try:
        second.enrol(apart.control_plane, "edge-2")
        with second.gateway() as http:
            other = Caller(http, "my_company")
            until(lambda: len(http.get("/gateway/jwks").json()["keys"]) == 2, what="both keys")
            until(lambda: other.call(token).status_code == 200, 5, "a call the backend believes")

            assert apart.control_plane.ostiary("nodes", "remove", "edge-2").returncode == 0

            until(lambda: other.call(token).status_code == 503, 5, "the removed node deciding nothing")
            until(lambda: other.login().status_code in (401, 503), 5, "the removed node passing nothing on")
            assert "node_not_admitted" in second.said()
        assert apart.caller.call(token).status_code == 200
    finally:
        second.stop()


def test_an_unknown_installation_is_not_told_the_token(apart: Apart):
    stranger = ControlPlaneServer(apart.scratch / "cp2")
    try:
        stranger.start()
        token = apart.control_plane.token("edge-3")
        gateway = GatewayServer(apart.scratch / "gw3")
        process = gateway.launch("--control-plane", stranger.nodes_url, OSTIARY_ENROL=token)

        assert process.wait(30) == 1
        assert "is not the installation this token is from" in gateway.said()
        assert token not in stranger.said()
    finally:
        stranger.stop()


def test_a_gateway_that_never_enrolled_says_how(apart: Apart):
    gateway = GatewayServer(apart.scratch / "gw4")

    assert gateway.launch().wait(30) == 1

    assert "have `ostiary nodes add NAME` print a token" in gateway.said()
