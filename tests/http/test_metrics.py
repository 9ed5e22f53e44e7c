"""What a scrape of the control plane gets, and where nobody gets it."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from ostiary.app import Settings, build_app
from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import write_engine
from ostiary.foundation.metrics import read
from ostiary.foundation.secrets import SecretBox, load_or_create_key
from ostiary.identity import UserSpec, put_user
from ostiary.oauth import ClientSpec, put_client
from ostiary.organizations import find

SECRET = "s3cret-of-the-client"


class Marked:
    """Marks what comes for /own and /metrics as accepted on the socket for scrapes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.mark = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in ("/own", "/metrics"):
            scope.setdefault("state", {})["metrics"] = self.mark
        await self.app(scope, receive, send)


@pytest.fixture
def marked(settings: Settings) -> Marked:
    box = SecretBox(load_or_create_key(settings.data_dir / "secret.key"))
    engine = write_engine(settings.database)
    with engine.begin() as connection:
        here = find(connection, "acme")
        assert here is not None
        put_user(connection, UserSpec(here.id, "bob", "$not-a-hash$"), utc_now)
        spec = ClientSpec("mobile", secret=SecretStr(SECRET), grant_types=frozenset({"password"}))
        put_client(connection, box, here.id, spec, utc_now())
    engine.dispose()
    return Marked(build_app(settings))


@pytest.fixture
def http(marked: Marked) -> Iterator[TestClient]:
    with TestClient(marked, raise_server_exceptions=False) as client:
        yield client


def _values(http: TestClient, path: str = "/own") -> dict[tuple[Any, ...], float]:
    return {
        (one.name, *sorted(one.labels.items())): one.value
        for family in read(http.get(path).text)
        for one in family.samples
    }


def test_requests_are_counted_by_route_and_never_by_path(http: TestClient):
    for n in range(50):
        http.get(f"/nothing/{n}")
        http.get(f"/t/acme/api/identity/v1/users/user-{n}")
        http.request(f"METHOD{n}", "/nothing")

    counted = [key for key in _values(http) if key[0] == "ostiary_http_requests_total"]
    routes = {dict(key[1:])["route"] for key in counted}
    assert len(counted) < 10
    assert "other" in routes
    assert any("{username}" in route for route in routes)
    assert not any("user-7" in route for route in routes)


def test_logins_and_token_requests_are_counted(http: TestClient):
    form = {"grant_type": "password", "username": "bob@acme", "password": "a-wrong-password"}
    http.post("/token", data=form, auth=("mobile", SECRET))
    http.post("/token", data={"grant_type": "x" * 100}, auth=("mobile", SECRET))
    http.post("/token", data=form, auth=("nobody", "wrong"))

    values = _values(http)
    assert (
        values["ostiary_logins_total", ("organization", "acme"), ("result", "refused"), ("store", "PRIMARY")]
        == 1
    )
    tokens = {
        tuple(dict(key[1:]).values()): value
        for key, value in values.items()
        if key[0] == "ostiary_token_requests_total"
    }
    assert tokens == {
        ("password", "acme", "invalid_grant"): 1,
        ("", "acme", "unsupported_grant_type"): 1,
        ("", "", "invalid_client"): 1,
    }


def test_a_scrape_says_how_the_installation_is(http: TestClient):
    values = _values(http, "/metrics")

    assert values["ostiary_database_up",] == 1
    assert values["ostiary_outbox_waiting",] >= 0
    assert values["ostiary_outbox_oldest_seconds",] >= 0


def test_nobody_scrapes_on_another_socket(marked: Marked, http: TestClient):
    marked.mark = False

    assert [http.get(path).status_code for path in ("/own", "/metrics")] == [404, 404]


def test_the_socket_for_scrapes_serves_nothing_else(marked: Marked, settings: Settings):
    class Everything(Marked):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                scope.setdefault("state", {})["metrics"] = True
            await self.app(scope, receive, send)

    with TestClient(Everything(marked.app)) as http:
        assert http.get("/oauth2/jwks").status_code == 404
        assert http.post("/metrics").status_code == 404
