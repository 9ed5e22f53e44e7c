"""Logins that must fail, through the real listeners, whatever a password is and a service answers."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from joserfc import jws
from tests.support.login_service import LoginService
from tests.system.server import Server
from tests.system.world import BOB_PASSWORD, PASSWORD, USER, Caller, LoginServices, apply, organization

MISBEHAVING = ("401", "500", "yes", "true", "html", "redirect", "huge", "drip", "nothing", "hang")
ANSWERED_WITHIN = 3.0
ALLOWED_FAILURES = 5
REFUSED = {"error": "invalid_grant"}


class World:
    """One server, an organization for each way a login service can behave."""

    def __init__(self, server: Server, services: dict[str, LoginService]) -> None:
        self.server = server
        self.services = services
        self.http = server.gateway()

    def caller(self, organization_name: str) -> Caller:
        return Caller(self.http, organization_name)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    services = LoginServices()
    server = Server(directory / "data")
    try:
        named = {f"org-{mode}": services.start(mode) for mode in MISBEHAVING}
        named |= {name: services.start() for name in ("good", "guessed", "locked", "twins")}
        server.start()
        twin = "  - {username: testuser, password: primary-password-1}\n"
        texts = {name: organization(name, service.url) for name, service in named.items()}
        texts["twins"] = texts["twins"].replace("users:\n", "users:\n" + twin, 1)
        apply(server, directory, *texts.values())
        yield World(server, named)
    finally:
        server.stop()
        services.close()
        shutil.rmtree(directory, ignore_errors=True)


def _refusal(response: httpx2.Response) -> dict[str, str]:
    assert response.status_code == 400, response.text
    body: dict[str, str] = response.json()
    return {"error": body["error"]}


def test_the_right_password_is_accepted(world: World):
    assert world.caller("good").login().status_code == 200


@pytest.mark.parametrize(
    ("username", "password"),
    [
        (USER, "wrong"),
        (USER, " "),
        (USER, f"{PASSWORD}\0"),
        ("nobody", PASSWORD),
        ("NOWHERE/" + USER, PASSWORD),
    ],
    ids=["wrong", "blank", "NUL", "unknown user", "unknown store"],
)
def test_a_login_that_must_fail_is_refused_with_one_text(world: World, username: str, password: str):
    wrong = world.caller("good").login("somebody-else", "wrong")

    response = world.caller("good").login(username, password)

    assert response.status_code == 400
    assert response.json() == wrong.json()
    assert response.json()["error"] == "invalid_grant"


def test_an_empty_password_never_reaches_a_store(world: World):
    service = world.services["good"]
    before = len(service.asked)

    response = world.caller("good").login(password="")

    assert response.status_code == 400
    assert len(service.asked) == before


@pytest.mark.parametrize("mode", MISBEHAVING)
def test_whatever_else_a_login_service_says_is_no_login(world: World, mode: str):
    started = time.monotonic()

    response = world.caller(f"org-{mode}").login()

    assert response.status_code == 503, response.text
    assert int(response.headers["Retry-After"]) >= 1
    assert time.monotonic() - started < ANSWERED_WITHIN


def test_a_service_that_is_down_does_not_stop_primary_users(world: World):
    assert world.caller("org-hang").login("bob", BOB_PASSWORD).status_code == 200


def test_a_user_with_too_many_wrong_passwords_is_locked_and_it_does_not_show(world: World):
    caller = world.caller("locked")
    refusals = [caller.login(password=f"wrong-{n}") for n in range(ALLOWED_FAILURES)]

    response = caller.login()

    assert response.status_code == 400
    assert {(r.status_code, r.text) for r in (*refusals, response)} == {(400, response.text)}


def test_fifty_parallel_guesses_through_mixed_spellings_get_no_more_than_the_limit(world: World):
    service = world.services["guessed"]
    spellings = ("testuser", "TestUser", "EXTERNAL/testuser", "external/TESTUSER", "TESTUSER")
    with ThreadPoolExecutor(25) as pool:
        guesses = [
            pool.submit(world.caller("guessed").login, spellings[n % len(spellings)], f"guess-{n}")
            for n in range(50)
        ]
        statuses = {guess.result().status_code for guess in guesses}

    assert 200 not in statuses
    assert len(service.asked) <= ALLOWED_FAILURES


def test_one_name_in_two_stores_is_two_people(world: World):
    caller = world.caller("twins")
    primary = caller.login(password="primary-password-1")
    external = caller.login(f"EXTERNAL/{USER}")

    assert primary.status_code == external.status_code == 200
    assert _claims(primary)["sub"] != _claims(external)["sub"]

    for n in range(ALLOWED_FAILURES):
        caller.login(f"EXTERNAL/{USER}", f"wrong-{n}")
    assert caller.login(f"EXTERNAL/{USER}").status_code == 400
    assert caller.login(password="primary-password-1").status_code == 200


def _claims(response: httpx2.Response) -> dict[str, str]:
    claims: dict[str, str] = json.loads(jws.extract_compact(response.json()["access_token"].encode()).payload)
    return claims
