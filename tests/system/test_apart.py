"""Control plane and gateway on machines of their own: two process trees that share nothing but TLS."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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


def test_the_story_is_performed_over_two_machines(apart: Apart):
    caller = apart.caller
    token = caller.access_token()

    called = caller.call(token)

    assert called.status_code == 200, called.text
    assert called.json()["enduser"] == "EXTERNAL/testuser@my_company"
    assert caller.login(password="wrong").status_code == 400
    caller.revoke(token)
    until(lambda: caller.call(token).status_code == 401, 1.5, "the revocation")
