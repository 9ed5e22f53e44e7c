"""Organizations, login services and a backend around a running server: what the refusal tests act on."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from tests.support.login_service import SERVICE_PASSWORD, SERVICE_USER, LoginService
from tests.support.ports import free_ports
from tests.system.server import Server
from tests.system.waiting import until

from ostiary.cli.demo.scratch import quickstart_directory

USER, PASSWORD = "testuser", "testuser-password-1"
BOB_PASSWORD = "bobs-password-1"
SECRET = "a-secret-of-a-test"


class LoginServices:
    """Login services on a loop of their own, in a thread of the test process."""

    def __init__(self) -> None:
        self._services: list[LoginService] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, mode: str = "check", users: Mapping[str, str] | None = None) -> LoginService:
        service = LoginService(dict(users or {USER: PASSWORD}))
        service.mode = mode
        self._services.append(service)
        return asyncio.run_coroutine_threadsafe(service.start(), self._loop).result(5)

    def close(self) -> None:
        for service in self._services:
            asyncio.run_coroutine_threadsafe(service.stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


def organization(
    name: str, login_url: str, backend_url: str = "http://127.0.0.1:9", timeout_ms: int = 500, more: str = ""
) -> str:
    """An organization's file: a user store, `bob` in PRIMARY, an API and four applications."""
    return f"""\
apiVersion: ostiary/v1
organization: {{name: {name}}}
user_stores:
  - name: EXTERNAL
    type: rest
    url: {login_url}
    auth: {{basic: {{username: {SERVICE_USER}, password: {SERVICE_PASSWORD}}}}}
    timeout_ms: {timeout_ms}
users:
  - {{username: bob, password: {BOB_PASSWORD}}}
roles:
  - {{name: clerk, users: [EXTERNAL/{USER}]}}
scopes:
  - {{name: "orders:write", roles: [clerk]}}
plans:
  - {{name: Tiny, requests: 5, per: minute}}
apis:
  - name: Orders
    context: /orders
    version: 1.0.0
    state: PUBLISHED
    backend: {{production: ["{backend_url}"]}}
    plans: [Gold, Tiny, Unlimited]
    resources:
      - {{method: GET, path: "/"}}
      - {{method: GET, path: "/{{id}}"}}
      - {{method: POST, path: "/", scopes: ["orders:write"]}}
applications:
{_application(name, "mobile", "Unlimited")}
{_application(name, "sampler", "Tiny")}
{_application(name, "newcomer", None)}
{more}"""


def _application(organization_name: str, name: str, plan: str | None) -> str:
    subscriptions = "" if plan is None else f"{{api: Orders, version: 1.0.0, plan: {plan}}}"
    return f"""\
  - name: {name}
    owner: bob
    keys:
      production:
        client_id: {organization_name}-{name}
        client_secret: {SECRET}
        grant_types: [password, client_credentials, refresh_token]
    subscriptions: [{subscriptions}]"""


def apply(server: Server, directory: Path, *texts: str) -> subprocess.CompletedProcess[str]:
    """Apply organization files; the test goes on only when they were accepted."""
    arguments: list[str] = []
    for number, text in enumerate(texts):
        file = directory / f"organization-{number}.yaml"
        file.write_text(text)
        arguments += ["-f", str(file)]
    done = server.ostiary("apply", *arguments)
    assert done.returncode == 0, done.stderr + done.stdout
    return done


@contextmanager
def backend(server: Server, organization_name: str) -> Iterator[str]:
    """The quickstart's backend, for one organization's Orders."""
    (port,) = free_ports(1)
    jwks = f"https://localhost:{server.gateway_port}/t/{organization_name}/gateway/jwks"
    command = [
        *(sys.executable, str(quickstart_directory() / "backend.py"), "--port", str(port)),
        *("--jwks", jwks, "--ca", str(server.directory / "tls" / "ca.pem")),
        *("--audience", f"{organization_name}/orders/1.0.0"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ))
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(url), what="the backend listening")
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


class Caller:
    """An application of one organization, as it talks to the gateway."""

    def __init__(self, http: httpx2.Client, organization_name: str, application: str = "mobile") -> None:
        self.http = http
        self.organization = organization_name
        self.credentials = (f"{organization_name}-{application}", SECRET)
        self.orders = f"/t/{organization_name}/orders/1.0.0/"

    def login(self, username: str = USER, password: str = PASSWORD, **more: str) -> httpx2.Response:
        form = {"grant_type": "password", "username": f"{username}@{self.organization}", "password": password}
        return self.token(**form, **more)

    def token(self, **form: str) -> httpx2.Response:
        return self.http.post("/token", data=form, auth=self.credentials)

    def access_token(self, **more: str) -> str:
        response = self.login(**more)
        assert response.status_code == 200, response.text
        return str(response.json()["access_token"])

    def application_token(self) -> str:
        response = self.token(grant_type="client_credentials")
        assert response.status_code == 200, response.text
        return str(response.json()["access_token"])

    def call(self, token: str, path: str = "", method: str = "GET", **options: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        return self.http.request(method, self.orders + path, headers=headers, **options)

    def revoke(self, token: str) -> httpx2.Response:
        return self.http.post("/revoke", data={"token": token}, auth=self.credentials)

    def once_published(self, token: str) -> None:
        """Wait until the gateway serves the API."""
        until(lambda: self.call(token).status_code not in (404, 503), what="the API at the gateway")
