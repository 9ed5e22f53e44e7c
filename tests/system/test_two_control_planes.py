"""Two control planes on one PostgreSQL, one gateway: what is said to either is so at all three."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conftest import new_postgresql_database
from tests.system.apart import ControlPlaneServer, GatewayServer
from tests.system.waiting import until
from tests.system.world import Caller, LoginServices, apply, backend, organization

PUBLIC_URL = "https://door.example"


@dataclass
class Pair:
    """Both control planes, the gateway that knows both, and an application."""

    control_planes: tuple[ControlPlaneServer, ControlPlaneServer]
    gateway: GatewayServer
    caller: Caller

    def may_call(self, token: str) -> bool:
        return self.caller.call(token).status_code == 200

    def revoked(self, token: str) -> bool:
        return self.caller.call(token).status_code == 401


@pytest.fixture(scope="module")
def pair(postgresql_server: str) -> Iterator[Pair]:
    scratch = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    services, gateway = LoginServices(), GatewayServer(scratch / "gw")
    first, second = ControlPlaneServer(scratch / "cp1"), ControlPlaneServer(scratch / "cp2")
    url = new_postgresql_database(postgresql_server)
    try:
        for one in (first, second):
            one.environment.update(OSTIARY_DATABASE_URL=url, OSTIARY_PUBLIC_URL=PUBLIC_URL)
        first.start()
        second.directory.mkdir(mode=0o700)
        shutil.copy2(first.directory / "secret.key", second.directory)
        second.start()
        gateway.environment.update(OSTIARY_ENROL=second.token())
        gateway.start("--control-plane", first.nodes_url, "--control-plane", second.nodes_url)
        with backend(gateway, "my_company") as called, gateway.gateway() as http:
            apply(first, scratch, organization("my_company", services.start().url, called))
            caller = Caller(http, "my_company")
            until(lambda: caller.login().status_code == 200, what="a token through the gateway")
            caller.once_published(caller.access_token())
            yield Pair((first, second), gateway, caller)
    finally:
        for server in (gateway, first, second):
            server.stop()
        services.close()
        shutil.rmtree(scratch, ignore_errors=True)


def revoke_at(control_plane: ControlPlaneServer, caller: Caller, token: str) -> None:
    """Revoke a token at this control plane, not through the gateway."""
    with control_plane.management() as http:
        answer = http.post(
            f"/t/{caller.organization}/oauth2/revoke", data={"token": token}, auth=caller.credentials
        )
    assert answer.status_code == 200, answer.text


def keys_at(control_plane: ControlPlaneServer, path: str) -> set[str]:
    with control_plane.management() as http:
        return {key["kid"] for key in http.get(f"/t/my_company{path}").json()["keys"]}


def test_both_are_the_same_authorization_server(pair: Pair):
    first, second = pair.control_planes

    for path in ("/oauth2/jwks", "/gateway/jwks"):
        assert keys_at(first, path) == keys_at(second, path) != set()


@pytest.mark.parametrize("number", [0, 1])
def test_what_is_revoked_at_either_is_refused_at_the_gateway(pair: Pair, number: int):
    token = pair.caller.access_token()
    assert pair.may_call(token)

    revoke_at(pair.control_planes[number], pair.caller, token)

    until(lambda: pair.revoked(token), 5, "the revocation")


def test_a_family_of_tokens_is_one_family_at_both(pair: Pair):
    first, second = pair.control_planes
    granted = pair.caller.login().json()
    form = {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]}
    with first.management() as http:
        rotated = http.post("/t/my_company/oauth2/token", data=form, auth=pair.caller.credentials)
    assert rotated.status_code == 200, rotated.text

    with second.management() as http:
        later = {**form, "refresh_token": rotated.json()["refresh_token"]}
        again = http.post("/t/my_company/oauth2/token", data=later, auth=pair.caller.credentials)
        assert again.status_code == 200, again.text
        used = http.post("/t/my_company/oauth2/token", data=form, auth=pair.caller.credentials)

    assert (used.status_code, used.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("number", [0, 1])
def test_one_is_killed_and_the_gateway_goes_on_with_the_other(pair: Pair, number: int):
    """After the first turn the gateway hangs on the second, which is what the second turn takes away."""
    killed, other = pair.control_planes[number], pair.control_planes[1 - number]
    before = pair.caller.access_token()

    killed.kill_everything()

    assert all(pair.may_call(before) for _ in range(20))
    until(lambda: pair.caller.login().status_code == 200, 10, "a login through the other")
    token = pair.caller.access_token()
    assert pair.may_call(token)
    until(lambda: "connected" in other.listed(), 15, "the node at the other")
    revoke_at(other, pair.caller, token)
    until(lambda: pair.revoked(token), 5, "the revocation")
    assert pair.may_call(before)
    killed.start()
