"""/api/identity/v1/user-stores"""

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection
from tests.support.identity import World
from tests.support.login_service import SERVICE_PASSWORD, SERVICE_USER, LoginService

from ostiary.identity import LoginRefused, LoginUnavailable, disable_subject
from ostiary.organizations import latest_minimum


@pytest.fixture
async def service():
    started = await LoginService({"testuser": "secret"}).start()
    yield started
    await started.stop()


def a_body(url: str, /, **changes: Any) -> dict[str, Any]:
    auth = {"basic": {"username": SERVICE_USER, "password": SERVICE_PASSWORD}}
    return {"name": "External", "type": "rest", "url": url, "auth": auth} | changes


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


async def test_a_connected_store_is_asked_and_its_secret_is_not_shown(
    api: httpx2.AsyncClient, world: World, service: LoginService
):
    answer = await api.post("/user-stores", json=a_body(service.url))

    shown = {
        "name": "EXTERNAL",
        "type": "rest",
        "url": service.url,
        "auth": {"basic": {"username": SERVICE_USER, "password_is_set": True}},
        "timeout_ms": 2000,
        "concurrency": 20,
        "accepts": None,
        "case_sensitive": False,
        "enabled": True,
        "description": None,
        "ask_again_after_seconds": 300,
        "reauthenticate_after_seconds": None,
        "migrate_until": None,
        "position": 0,
    }
    assert (answer.status_code, answer.json()) == (201, shown)
    assert (await api.get("/user-stores")).json() == {"user_stores": [shown]}
    assert (await api.get("/user-stores/external")).json() == shown
    user = await world.log_in("testuser", "secret")
    assert user.subject.display("my_company") == "EXTERNAL/testuser@my_company"


async def test_another_address_does_not_get_the_old_secret(
    api: httpx2.AsyncClient, world: World, service: LoginService
):
    await api.post("/user-stores", json=a_body("https://login.example/"))
    moved = a_body(service.url, auth={"basic": {"username": SERVICE_USER}})

    answer = await api.put("/user-stores/EXTERNAL", json=without(moved, "name"))

    assert answer.json()["auth"] == {"basic": {"username": SERVICE_USER, "password_is_set": False}}
    with pytest.raises(LoginUnavailable):
        await world.log_in("testuser", "secret")
    assert service.asked == []


async def test_a_taken_name_is_a_conflict(api: httpx2.AsyncClient):
    await api.post("/user-stores", json=a_body("https://login.example/"))

    assert (await api.post("/user-stores", json=a_body("https://other.example/"))).status_code == 409
    assert (await api.get("/user-stores/EXTERNAL")).json()["url"] == "https://login.example/"


async def test_a_disconnected_store_is_gone(api: httpx2.AsyncClient):
    await api.post("/user-stores", json=a_body("https://login.example/"))

    assert (await api.delete("/user-stores/external")).status_code == 204
    assert (await api.get("/user-stores/external")).status_code == 404
    assert (await api.delete("/user-stores/external")).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "http://login.example/"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"name": "PRIMARY"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "ß"}, "name"),
        ({"accepts": "\x00"}, "accepts"),
        ({"auth": {"basic": {"username": "a", "password": ""}}}, "auth.basic.password"),
        ({"type": "carrier_pigeon"}, "type"),
        ({"timeout_ms": 0}, "timeout_ms"),
        ({"timeout_ms": 10**30}, "timeout_ms"),
        ({"concurrency": 10**6}, "concurrency"),
        ({"auth": {"basic": {"username": "a:b"}}}, "auth.basic.username"),
        ({"secret": "x"}, "secret"),
    ],
)
async def test_bad_input_names_the_field_and_changes_nothing(
    api: httpx2.AsyncClient, change: dict[str, object], field: str
):
    answer = await api.post("/user-stores", json=a_body("https://login.example/", **change))

    assert answer.status_code == 400
    assert field in answer.json()["description"]
    assert (await api.get("/user-stores")).json() == {"user_stores": []}


async def test_a_kept_password_can_be_forgotten(api: httpx2.AsyncClient, world: World, service: LoginService):
    await api.post("/user-stores", json=a_body(service.url, migrate_until="2999-12-31"))
    first = await world.log_in("testuser", "secret")
    service.users["testuser"] = "changed"
    assert await world.log_in("testuser", "secret") == first
    assert (await api.get("/user-stores/external/migration")).json()["kept"] == 1

    def minimum(connection: Connection) -> int:
        return latest_minimum(connection, world.organization.id, [("subject", first.subject.id)])

    before = await world.database.read(minimum)

    forgotten = await api.delete("/user-stores/external/migration/TestUser")

    assert forgotten.status_code == 204
    assert await world.database.read(minimum) > before
    assert (await api.get("/user-stores/external/migration")).json()["kept"] == 0
    with pytest.raises(LoginRefused):
        await world.log_in("testuser", "secret")
    again = await world.log_in("testuser", "changed")
    assert again.subject.id == first.subject.id


async def test_how_far_a_migration_is_counts_people_that_may_log_in(
    api: httpx2.AsyncClient, world: World, service: LoginService
):
    """Two have logged in before the day was said; one of them is disabled, and one has moved since."""
    service.users |= {"early": "secret", "leaver": "secret"}
    await api.post("/user-stores", json=a_body(service.url))
    here = world.organization.id
    for name in ("early", "leaver"):
        subject = (await world.log_in(name, "secret")).subject
    await world.database.write(lambda c: disable_subject(c, here, subject.id, world.clock))
    assert (await api.get("/user-stores/external/migration")).json() == {
        "migrate_until": None,
        "days_left": None,
        "seen": 2,
        "kept": 0,
        "not_moved": 1,
        "last_kept_at": None,
    }

    until = world.clock().date() + timedelta(days=29)
    body = without(a_body(service.url, migrate_until=until.isoformat()), "name")
    assert (await api.put("/user-stores/EXTERNAL", json=body)).status_code == 200
    await world.log_in("testuser", "secret")

    told = (await api.get("/user-stores/external/migration")).json()
    assert told.pop("last_kept_at") is not None
    assert told == {
        "migrate_until": until.isoformat(),
        "days_left": 30,
        "seen": 3,
        "kept": 1,
        "not_moved": 1,
    }


@pytest.mark.parametrize(
    "path", ["external/migration/nobody", "external/migration/a%20b", "nowhere/migration/testuser"]
)
async def test_what_is_not_kept_cannot_be_forgotten(
    api: httpx2.AsyncClient, service: LoginService, path: str
):
    await api.post("/user-stores", json=a_body(service.url, migrate_until="2999-12-31"))

    assert (await api.delete(f"/user-stores/{path}")).status_code == 404
