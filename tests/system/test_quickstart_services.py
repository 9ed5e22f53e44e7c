"""The two services of the quickstart on their own: the login contract, and a backend that believes nobody."""

import os
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest
from tests.support.ports import free_ports
from tests.system.waiting import until

from ostiary.cli.demo.scratch import quickstart_directory

GATEWAY = httpx2.BasicAuth("gateway", "store-password")


def _serve(script: str, *arguments: str, **environment: str) -> Iterator[str]:
    (port,) = free_ports(1)
    command = [sys.executable, str(quickstart_directory() / script), "--port", str(port), *arguments]
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(url), what=f"{script} listening")
        yield url
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        httpx2.get(url, timeout=1)
    except httpx2.TransportError:
        return False
    return True


@pytest.fixture(scope="module")
def login_service() -> Iterator[str]:
    users = '{"testuser": "right", "nobody": ""}'
    yield from _serve("login_service.py", EXTERNAL_STORE_PASSWORD="store-password", LOGIN_SERVICE_USERS=users)


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    yield from _serve("backend.py", "--jwks", "http://127.0.0.1:1/nothing-listens-here")


@pytest.mark.parametrize(
    ("username", "password", "status"),
    [
        ("testuser", "right", "true"),
        ("testuser", "wrong", "false"),
        ("unknown", "", "false"),
        ("nobody", "", "false"),
    ],
)
def test_the_login_service_says_yes_or_no_as_text(
    login_service: str, username: str, password: str, status: str
):
    credentials = {"credentials": {"username": username, "password": password}}

    response = httpx2.post(f"{login_service}/authenticate", json=credentials, auth=GATEWAY)

    assert response.json() == {"response": {"status": status}}


def test_the_login_service_is_itself_protected(login_service: str):
    credentials = {"credentials": {"username": "testuser", "password": "right"}}

    response = httpx2.post(f"{login_service}/authenticate", json=credentials, auth=("gateway", "guess"))

    assert response.status_code == 401


def test_the_login_service_refuses_another_form(login_service: str):
    response = httpx2.post(f"{login_service}/authenticate", json=["testuser"], auth=GATEWAY)

    assert response.status_code == 400


def test_the_backend_answers_nobody_who_did_not_come_through_the_gateway(backend: str):
    response = httpx2.get(f"{backend}/")

    assert response.status_code == 401


def test_the_backend_believes_nothing_while_it_cannot_see_the_gateways_keys(backend: str):
    response = httpx2.get(f"{backend}/", headers={"X-JWT-Assertion": "e30.e30.e30"})

    assert response.status_code == 503
