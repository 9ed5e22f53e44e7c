"""Every listener the process tree binds, and every route behind it, without credentials.

Security case: an internal endpoint that was open (CVE-2025-9152, CVE-2025-9312, CVE-2026-4249).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from tests.system.conftest import MakeServer
from tests.system.server import Server, until

from ostiary.app import build_app, framework_of, load_settings
from ostiary.permissions import Audience

OPEN_AT_THE_GATEWAY = {"/token", "/revoke", "/jwks", "/gateway/jwks"}


@pytest.fixture
def serving(a_server: MakeServer) -> Server:
    return a_server(http=True).start()


def _routes(app: Any) -> Iterator[Any]:
    for route in app.routes:
        if hasattr(route, "original_router"):
            yield from _routes(route.original_router)
        else:
            yield route


def _declared(scratch: Path) -> list[tuple[str, str, Audience]]:
    """Method, path and audience of every route, once each."""
    directory = scratch / "declared"
    directory.mkdir()
    app: Any = build_app(load_settings(None, {"data_dir": directory}))
    return [
        (method, re.sub(r"\{\w+(:\w+)?\}", "x", route.path), route.access.audience)
        for route in _routes(framework_of(app))
        if not route.path.startswith("/t/{")
        for method in sorted(route.methods)
    ]


def _processes(server: Server) -> list[psutil.Process]:
    assert server.process is not None
    return [psutil.Process(pid) for pid in (server.process.pid, *server.tree())]


def test_nothing_listens_but_what_was_announced(serving: Server):
    bound = {
        (connection.laddr.ip, connection.laddr.port)
        for process in _processes(serving)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }

    assert {port for _, port in bound} == {serving.management_port, serving.gateway_port, serving.http_port}
    assert ("127.0.0.1", serving.http_port) in bound  # cleartext is for this machine alone


def test_every_socket_file_is_private(serving: Server):
    sockets = [path for path in (serving.directory / "run").iterdir() if path.is_socket()]

    assert len(sockets) >= 6
    assert {path.name: oct(path.stat().st_mode & 0o077) for path in sockets} == {
        path.name: "0o0" for path in sockets
    }


def _status(http: httpx2.Client, method: str, path: str) -> int:
    """Asked again while the listener turns away an address from which too much has failed."""
    found: list[int] = []

    def has_passed() -> bool:
        found.append(http.request(method, path).status_code)
        return found[-1] != 429

    until(has_passed, seconds=30, what=f"an answer to {method} {path}")
    return found[-1]


def test_the_management_listener_lets_nobody_in_without_credentials(serving: Server, scratch: Path):
    with serving.management() as http:
        http.auth = None
        for method, path, audience in _declared(scratch):
            status = _status(http, method, path)
            if path.startswith("/internal/"):
                assert status == 404, f"{method} {path}: {status}"
            elif audience is not Audience.ANYBODY:
                assert status == 401, f"{method} {path}: {status}"


def test_the_gateway_listener_routes_protocol_endpoints_and_nothing_else_of_ours(
    serving: Server, scratch: Path
):
    declared = _declared(scratch)
    with serving.gateway() as http:
        reached = {path for method, path, _ in declared if http.request(method, path).status_code != 404}

    assert reached == OPEN_AT_THE_GATEWAY
