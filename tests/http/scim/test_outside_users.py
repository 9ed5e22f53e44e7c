"""SCIM users of outside stores: who has been seen there, of whom only `active` can be changed."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.http.scim.conftest import ERROR, SCIM, USER
from tests.support.login_service import SERVICE_PASSWORD, SERVICE_USER, LoginService

SECRET = "client-secret"


class Service:
    """A login service with a loop of its own, which the app's test client does not stop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.is_stopped = False
        self.inner: LoginService = self._run(LoginService({"testuser": "secret", "zoe": "secret"}).start())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def stop(self) -> None:
        """Answer nobody any more."""
        if not self.is_stopped:
            self._run(self.inner.stop())
        self.is_stopped = True


@pytest.fixture
def service() -> Iterator[Service]:
    started = Service()
    yield started
    started.stop()
    started.loop.call_soon_threadsafe(started.loop.stop)


@pytest.fixture
def seen(scim: SCIM, service: Service) -> dict[str, Any]:
    """testuser of EXTERNAL, after a login."""
    auth = {"basic": {"username": SERVICE_USER, "password": SERVICE_PASSWORD}}
    keys = {
        "client_id": "mobile",
        "client_secret": SECRET,
        "grant_types": ["password", "refresh_token"],
    }
    document = {
        "apiVersion": "ostiary/v1",
        "organization": {"name": "acme"},
        "user_stores": [{"name": "EXTERNAL", "type": "rest", "url": service.inner.url, "auth": auth}],
        "users": [{"username": "owner", "password": "a secret"}],
        "applications": [{"name": "Mobile", "owner": "owner", "keys": {"production": keys}}],
    }
    applied = scim.client.post("/t/acme/api/declarative/v1/apply", json={"documents": [document]})
    assert applied.status_code == 200, applied.text
    assert log_in(scim).status_code == 200
    found = scim.ask("GET", "/Users?domain=external").json()["Resources"]
    assert len(found) == 1
    return dict(found[0])


def log_in(scim: SCIM) -> Any:
    form = {"grant_type": "password", "username": "EXTERNAL/testuser", "password": "secret"}
    return scim.client.post("/t/acme/oauth2/token", data=form, auth=("mobile", SECRET))


def test_whoever_was_seen_is_listed_under_its_store(scim: SCIM, seen: dict[str, Any]):
    assert (seen["userName"], seen["active"]) == ("EXTERNAL/testuser", True)
    assert scim.ask("GET", f"/Users/{seen['id']}").json() == seen
    assert [one["userName"] for one in scim.ask("GET", "/Users").json()["Resources"]] == ["owner"]
    for filter_, total in (
        ('userName eq "EXTERNAL/TestUser"', 1),
        ('userName eq "testuser"', 1),
        ('userName sw "External/te"', 1),
        ('userName eq "PRIMARY/testuser"', 0),
        ('userName eq "zoe"', 0),
        ('externalId eq "x"', 0),
    ):
        found = scim.ask("GET", "/Users", params={"domain": "EXTERNAL", "filter": filter_}).json()
        assert found["totalResults"] == total, filter_


def test_its_store_alone_changes_it(scim: SCIM, seen: dict[str, Any]):
    """RFC 7644 §3.12: mutability."""
    place = f"/Users/{seen['id']}"
    put = {"schemas": [USER], "userName": "EXTERNAL/testuser", "active": True, "title": "Boss"}

    answers = [
        scim.patch(place, {"op": "replace", "path": "displayName", "value": "x"}),
        scim.patch(place, {"op": "replace", "path": "password", "value": "another secret"}),
        scim.patch(place, {"op": "add", "path": "externalId", "value": "x"}),
        scim.ask("PUT", place, put),
        scim.ask("DELETE", place),
    ]

    assert [(one.status_code, one.json()["scimType"]) for one in answers] == [(400, "mutability")] * 5
    assert scim.ask("GET", place).json() == seen


def test_it_is_disabled_and_enabled_again(scim: SCIM, seen: dict[str, Any]):
    place = f"/Users/{seen['id']}"

    disabled = scim.patch(place, {"op": "replace", "path": "active", "value": False})

    assert disabled.status_code == 204, disabled.text
    assert scim.ask("GET", place).json()["active"] is False
    assert log_in(scim).status_code == 400
    scim.patch(place, {"op": "replace", "path": "active", "value": True})
    assert log_in(scim).status_code == 200


def test_it_gets_roles(scim: SCIM, seen: dict[str, Any]):
    role = scim.group("clerk", seen["id"])

    assert [one["value"] for one in scim.ask("GET", f"/Users/{seen['id']}").json()["groups"]] == [role["id"]]
    assert scim.ask("GET", f"/Groups/{role['id']}?attributes=members.display").json()["members"] == [
        {"display": "EXTERNAL/testuser"}
    ]


def test_a_store_that_cannot_be_reached_is_an_outage_and_no_list(
    scim: SCIM, seen: dict[str, Any], service: Service
):
    service.stop()

    answer = scim.ask("GET", "/Users?domain=EXTERNAL")

    assert (answer.status_code, answer.json()) == (
        503,
        {
            "schemas": [ERROR],
            "status": "503",
            "detail": "the user store cannot be asked at the moment, try again later",
        },
    )
    assert int(answer.headers["retry-after"]) >= 1
    assert scim.ask("GET", "/Users").status_code == 200
    assert scim.ask("GET", f"/Users/{seen['id']}").status_code == 200


def test_a_store_there_is_not_is_said(scim: SCIM, seen: dict[str, Any]):
    for domain in ("NOWHERE", "%00", "x" * 300, "é"):
        answer = scim.ask("GET", f"/Users?domain={domain}")
        assert (answer.status_code, answer.json().get("scimType")) == (400, "invalidValue"), domain
    made = scim.ask("POST", "/Users?domain=EXTERNAL", {"schemas": [USER], "userName": "bob"})
    assert made.status_code == 400
