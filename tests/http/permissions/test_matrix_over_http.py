"""The diagonal of the permission matrix, over HTTP: what is declared at a route is what decides there."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs
from tests.http.permissions.callers import Callers
from tests.http.permissions.matrix import BELOW, Row, rows

from ostiary.app import build_app, framework_of, load_settings
from ostiary.permissions import OPEN, GuardedRoute, PlainRoutes

GUARDED = [row for row in rows() if row.is_guarded]
Installation = tuple[TestClient, Callers]
OF_THE_INSTALLATION = {"GET /api/declarative/v1/export"}
"""At `default` it writes any organization's file: that takes what is the installation's besides."""


@pytest.fixture(scope="module")
def installation(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The product as it is delivered, with everybody the matrix speaks of."""
    directory = tmp_path_factory.mktemp("matrix")
    shutil.copy(migrated, directory / "ostiary.db")
    settings = load_settings(None, {"data_dir": directory})
    callers = Callers(settings)
    callers.make(GUARDED)
    with TestClient(build_app(settings), raise_server_exceptions=False) as http:
        yield http, callers
    callers.engine.dispose()


def ask(http: TestClient, row: Row, headers: dict[str, str]) -> Any:
    """Call the operation about things that are not there, with a body that is not JSON."""
    path = row.path.replace(BELOW, "/t/acme")
    return http.request(row.method, re.sub(r"\{\w+(:\w+)?\}", "x", path), headers=headers, content=b"{")


def complaints(installation: Installation, row: Row) -> list[str]:
    """Who gets past the guard and must not, and who does not and must; whatever broke."""
    http, callers = installation
    found = []
    for name, (headers, passes) in callers.everybody(row).items():
        answer = ask(http, row, headers)
        status = answer.status_code
        stranger = name == "another organization's administrator" or not headers or row.audience == "new-node"
        refusal = 401 if stranger else 403
        passes = passes and (
            f"{row.method} {row.path}" not in OF_THE_INSTALLATION or name == "an administrator"
        )
        is_right = status not in (401, 403) if passes else status == refusal
        if not is_right or status in (500, 503):
            wanted = "to pass" if passes else refusal
            found.append(f"{row.method} {row.path}: {name} gets {status} instead of {wanted}: {answer.text}")
    return found


def test_who_passes_over_http_is_what_the_matrix_says(installation: Installation):
    found = [text for row in GUARDED for text in complaints(installation, row)]

    assert found == []


def declarations(app: Any) -> Iterator[tuple[str, str, Any]]:
    """Whatever holds the access of an operation in a running app: its route, and its plain route."""
    for route in framework_of(app).routes:
        if isinstance(route, GuardedRoute):
            for above in ("", BELOW)[: 1 + route.per_organization]:
                yield from ((method, above + route.path, route) for method in route.methods or ())
    while not isinstance(app, PlainRoutes):
        app = getattr(app, "_app", None) or app.app
    for mapping in (app._routes.here, app._routes.below):
        yield from ((method, route.path, route) for (method, _), route in mapping.items())


def test_a_route_that_is_opened_is_noticed(installation: Installation):
    """Each operation in turn, opened in the running app: the matrix must report it."""
    http, _ = installation
    holders: dict[tuple[str, str], list[Any]] = {}
    for method, path, holder in declarations(http.app):
        holders.setdefault((method, path), []).append(holder)
    survivors = []
    for row in GUARDED:
        before = [(holder, holder.access) for holder in holders[row.method, row.path]]
        for holder, _access in before:
            object.__setattr__(holder, "access", OPEN)
        with capture_logs():  # an endpoint without a caller breaks, and says so at length
            if ask(http, row, {}).status_code == 401:
                survivors.append(f"{row.method} {row.path}")
        for holder, access in before:
            object.__setattr__(holder, "access", access)

    assert survivors == []
