"""Calls through the real gateway: what is refused, how soon a change is felt, what a backend may believe."""

import http.client
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from joserfc import jws
from tests.system.server import Server
from tests.system.waiting import until
from tests.system.world import USER, Caller, LoginServices, apply, backend, organization

pytestmark = pytest.mark.alone

CHANGE_WITHIN = 1.0
MISS_DEADLINE = 2.0
JWKS_MAX_AGE = 2
ORG = "my_company"


class World:
    """A server, an organization with a login service and a real backend."""

    def __init__(self, server: Server, directory: Path, text: str) -> None:
        self.server = server
        self.directory = directory
        self.text = text
        self.http = server.gateway()
        self.mobile = Caller(self.http, ORG)
        self.sampler = Caller(self.http, ORG, "sampler")
        self.newcomer = Caller(self.http, ORG, "newcomer")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    services = LoginServices()
    server = Server(directory / "data")
    server.environment["OSTIARY_GATEWAY__JWKS_MAX_AGE"] = str(JWKS_MAX_AGE)
    try:
        service = services.start()
        server.start()
        with backend(server, ORG) as backend_url:
            text = organization(ORG, service.url, backend_url)
            apply(server, directory, text)
            world = World(server, directory, text)
            world.mobile.once_published(world.mobile.application_token())
            yield world
    finally:
        server.stop()
        services.close()
        shutil.rmtree(directory, ignore_errors=True)


def _within(seconds: float, condition: Callable[[], bool]) -> float:
    started = time.monotonic()
    until(condition, seconds, "the change at the gateway")
    return time.monotonic() - started


def _fault(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, str(response.json()["code"])


def test_the_backend_learns_who_calls_and_nothing_else_of_it(world: World):
    response = world.mobile.call(world.mobile.access_token())

    body = response.json()
    assert response.status_code == 200
    assert body["enduser"] == f"EXTERNAL/{USER}@{ORG}"
    assert "authorization" not in body["headers"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-JWT-Assertion": "forged"},
        {"x-jwt-assertion": "forged"},
        {"X_JWT_Assertion": "forged"},
        {"X-Jwt_Assertion": "forged"},
        {"Connection": "close, X-JWT-Assertion"},
        {"Connection": "keep-alive, x-jwt-assertion", "X-JWT-Assertion": "forged"},
    ],
    ids=str,
)
def test_an_assertion_from_outside_never_reaches_the_backend(world: World, headers: dict[str, str]):
    response = world.mobile.call(world.mobile.access_token(), headers=headers)

    assert response.status_code == 200, response.text
    assert response.json()["enduser"] == f"EXTERNAL/{USER}@{ORG}"
    assert "forged" not in response.text


def test_an_access_token_is_no_assertion(world: World):
    token = world.mobile.access_token()

    with_both = world.mobile.call(token, headers={"X-JWT-Assertion": token})
    alone = world.http.get(world.mobile.orders, headers={"X-JWT-Assertion": token})

    assert with_both.json()["headers"]["x-jwt-assertion"] != token
    assert _fault(alone) == (401, "900902")


def test_an_assertion_is_no_access_token(world: World):
    assertion = world.mobile.call(world.mobile.access_token()).json()["headers"]["x-jwt-assertion"]

    assert _fault(world.mobile.call(assertion)) == (401, "900901")


def test_an_application_that_has_not_subscribed_is_refused(world: World):
    assert _fault(world.newcomer.call(world.newcomer.application_token())) == (403, "900908")


def test_a_token_without_the_scope_of_the_resource_is_refused(world: World):
    without, with_scope = world.mobile.access_token(), world.mobile.access_token(scope="orders:write")

    assert _fault(world.mobile.call(without, method="POST", json={})) == (403, "900910")
    assert world.mobile.call(with_scope, method="POST", json={}).status_code == 201


def test_an_exceeded_plan_is_429_with_the_exact_time_to_wait(world: World):
    token = world.sampler.application_token()
    answers = [world.sampler.call(token)]
    while answers[-1].status_code == 200 and len(answers) < 12:
        answers.append(world.sampler.call(token))

    assert _fault(answers[-1]) == (429, "900804")
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert len(answers) > 5


def test_a_revoked_token_is_refused_within_a_second(world: World):
    token = world.mobile.access_token()
    assert world.mobile.call(token).status_code == 200

    assert world.mobile.revoke(token).status_code == 200

    _within(CHANGE_WITHIN, lambda: world.mobile.call(token).status_code == 401)
    assert _fault(world.mobile.call(token)) == (401, "900901")


def test_a_revocation_reaches_a_connection_that_was_opened_before_a_reload(world: World):
    token = world.mobile.access_token()
    connection = http.client.HTTPSConnection(
        "localhost", world.server.gateway_port, context=world.server.trust(), timeout=5
    )

    def call() -> int:
        connection.request("GET", world.mobile.orders, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        response.read()
        return response.status

    assert call() == 200
    workers = _gateway_processes(world.server)
    os.kill(min(workers), signal.SIGUSR2)
    until(lambda: _gateway_processes(world.server) - workers, what="a new HAProxy worker")
    world.mobile.revoke(token)

    _within(CHANGE_WITHIN, lambda: call() == 401)
    connection.close()


def test_a_subscription_that_is_taken_away_is_felt_within_a_second(world: World):
    token = world.mobile.application_token()
    assert world.mobile.call(token).status_code == 200

    apply(world.server, world.directory, world.text.replace("plan: Unlimited}", "plan: Tiny}"))
    _within(CHANGE_WITHIN, lambda: _limited(world, token))

    apply(world.server, world.directory, world.text)
    _within(CHANGE_WITHIN, lambda: world.mobile.call(token).status_code == 200)


def _limited(world: World, token: str) -> bool:
    return any(world.mobile.call(token).status_code == 429 for _ in range(8))


def test_a_hung_agent_costs_its_time_out_and_nothing_more(world: World):
    stored, unseen = world.mobile.access_token(), world.mobile.access_token()
    assert world.mobile.call(stored).status_code == 200
    agent = world.server.find("ostiary.gateway.node")
    os.kill(agent, signal.SIGSTOP)
    try:
        started = time.monotonic()
        missed = world.mobile.call(unseen)
        took = time.monotonic() - started

        assert missed.status_code == 503
        assert took < MISS_DEADLINE
        assert world.mobile.call(stored).status_code == 200
    finally:
        os.kill(agent, signal.SIGCONT)
    until(lambda: world.mobile.call(unseen).status_code == 200, what="the agent's return")


def test_a_killed_agent_comes_back(world: World):
    unseen = world.mobile.access_token()
    os.kill(world.server.find("ostiary.gateway.node"), signal.SIGKILL)

    until(lambda: world.mobile.call(unseen).status_code == 200, what="the agent's return")


def test_a_backend_that_caches_the_keys_for_their_max_age_verifies_through_a_rotation(world: World):
    token = world.mobile.access_token()
    first = _signing_key(world, token)

    rotated = world.server.ostiary("keys", "rotate")

    assert rotated.returncode == 0, rotated.stderr
    deadline = time.monotonic() + 60
    while _signing_key(world, token) == first:
        assert time.monotonic() < deadline, "no new key ever signed"
        token = world.mobile.access_token()


def _signing_key(world: World, token: str) -> str:
    """The key of the assertion the backend has just verified."""
    response = world.mobile.call(token)
    assert response.status_code == 200, response.text
    assertion = response.json()["headers"]["x-jwt-assertion"]
    return str(jws.extract_compact(assertion.encode()).headers()["kid"])


def test_a_replayed_refresh_token_ends_its_family(world: World):
    first = world.mobile.login().json()
    second = world.mobile.token(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    third = world.mobile.token(grant_type="refresh_token", refresh_token=second["refresh_token"])
    assert third.status_code == 200

    replayed = world.mobile.token(grant_type="refresh_token", refresh_token=first["refresh_token"])

    assert (replayed.status_code, replayed.json()["error"]) == (400, "invalid_grant")
    latest = third.json()
    again = world.mobile.token(grant_type="refresh_token", refresh_token=latest["refresh_token"])
    assert again.status_code == 400
    _within(CHANGE_WITHIN, lambda: world.mobile.call(latest["access_token"]).status_code == 401)


def test_two_organizations_cannot_have_one_client_id(world: World):
    file = world.directory / "rival.yaml"
    file.write_text(world.text.replace(f"name: {ORG}}}", "name: rival}", 1))

    done = world.server.ostiary("apply", "-f", str(file))

    assert done.returncode != 0
    assert f"{ORG}-mobile" in done.stderr


def _gateway_processes(server: Server) -> set[int]:
    return {pid for pid, line in server.tree().items() if "gateway.cfg" in line}


def test_a_refused_call_is_explained_check_by_check(world: World):
    token = world.mobile.application_token()
    refused = world.mobile.call(token, "", "POST", json={})
    unsubscribed = world.newcomer.call(world.newcomer.application_token(), "7")

    about_scope = world.server.ostiary("explain", refused.headers["x-request-id"])
    about_subscription = world.server.ostiary("explain", unsubscribed.headers["x-request-id"])

    assert "✓ the resource takes the method" in about_scope.stdout, about_scope.stderr
    assert "✗ the token has a scope of the resource" in about_scope.stdout
    assert "orders:write" in about_scope.stdout
    assert "403 900910 insufficient_scope" in about_scope.stdout
    assert "✓ the token is not revoked" in about_subscription.stdout, about_subscription.stderr
    assert "✗ the application is subscribed to the API: no subscription" in about_subscription.stdout
    assert token not in about_scope.stdout + about_subscription.stdout


def test_a_refused_login_is_explained_on_the_machine(world: World):
    wrong = world.mobile.login(password="not-the-password")
    refused = until(
        lambda: wrong if wrong.status_code == 400 else world.mobile.login(password="not-the-password")
    )

    explained = world.server.ostiary("explain", refused.headers["x-request-id"])

    assert "refused_by_EXTERNAL" in explained.stdout, explained.stderr
    assert "not-the-password" not in explained.stdout


def _traced(world: World, token: str | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`ostiary trace call` with the token where nobody sees it."""
    file = world.directory / "traced-token"
    file.write_text(token or "")
    return world.server.ostiary("trace", "call", "--token-file", str(file), *arguments)


def test_a_traced_call_shows_what_the_backend_would_get_and_does_not_call_it(world: World):
    token = world.mobile.access_token()

    traced = _traced(world, token, "GET", f"https://localhost{world.mobile.orders}7?x=1")

    assert traced.returncode == 0, traced.stderr
    assert "✓ the call is allowed" in traced.stdout
    assert "✓ its signature is by a key of /gateway/jwks" in traced.stdout
    assert f'"EXTERNAL/{USER}@{ORG}"' in traced.stdout
    assert token not in traced.stdout + traced.stderr
    assert "eyJ" not in traced.stdout


def test_a_traced_call_that_is_refused_is_explained(world: World):
    traced = _traced(world, world.mobile.application_token(), "POST", world.mobile.orders)

    assert traced.returncode == 1
    assert "✗ the token has a scope of the resource" in traced.stdout, traced.stderr
