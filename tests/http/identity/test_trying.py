"""Testing a store's connection, and rehearsing a login: /api/identity/v1."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from tests.support.identity import World
from tests.support.login_service import SERVICE_PASSWORD, SERVICE_USER, LoginService

from ostiary.identity import LoginUnavailable

STORES = "/user-stores"


@pytest.fixture
async def service() -> AsyncIterator[LoginService]:
    started = await LoginService({"testuser": "secret"}).start()
    yield started
    await started.stop()


def described(url: str, password: str | None = SERVICE_PASSWORD, **more: Any) -> dict[str, Any]:
    basic = {"username": SERVICE_USER} | ({"password": password} if password else {})
    return {"name": "EXTERNAL", "type": "rest", "url": url, "auth": {"basic": basic}} | more


async def what_came_of(api: httpx2.AsyncClient, path: str, body: Any) -> tuple[bool, str | None, bool]:
    answer = await api.post(f"{STORES}{path}/test-connection", json=body)
    assert answer.status_code == 200, answer.text
    assert SERVICE_PASSWORD not in answer.text
    said = answer.json()
    return said["connection"], said["problem"], said["accepts_anybody"]


async def test_a_store_is_tried_before_it_is_saved(api: httpx2.AsyncClient, service: LoginService):
    assert await what_came_of(api, "", described(service.url)) == (True, None, False)
    assert await what_came_of(api, "", described(service.url, "wrong")) == (False, "status_401", False)
    assert (await api.get(STORES)).json() == {"user_stores": []}


async def test_a_saved_store_is_tried_with_its_own_secret(api: httpx2.AsyncClient, service: LoginService):
    await api.post(STORES, json=described(service.url))

    assert await what_came_of(api, "/external", None) == (True, None, False)
    assert await what_came_of(api, "", described(service.url, None)) == (True, None, False)


async def test_a_kept_secret_goes_to_no_other_address(api: httpx2.AsyncClient, service: LoginService):
    """CVE-2026-15943."""
    await api.post(STORES, json=described("https://login.example/"))

    assert await what_came_of(api, "", described(service.url, None)) == (
        False,
        "its_password_is_not_set",
        False,
    )
    assert service.asked == []


async def test_a_store_that_accepts_anybody_is_told(api: httpx2.AsyncClient, service: LoginService):
    service.mode = "ok"

    assert await what_came_of(api, "", described(service.url)) == (True, None, True)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "https://10.0.0.1/", "http://login.example/"])
async def test_addresses_we_do_not_go_to_are_not_tried(api: httpx2.AsyncClient, url: str):
    answer = await api.post(f"{STORES}/test-connection", json=described(url))

    assert answer.status_code == 400
    assert "url" in answer.json()["description"]


async def test_there_is_no_such_store(api: httpx2.AsyncClient):
    assert (await api.post(f"{STORES}/NOWHERE/test-connection")).status_code == 404


async def rehearsed(api: httpx2.AsyncClient, username: str, password: str) -> dict[str, Any]:
    answer = await api.post("/rehearsals", json={"username": username, "password": password})
    assert answer.status_code == 200, answer.text
    assert password not in answer.text.replace(username, "")
    found: dict[str, Any] = answer.json()
    return found


def told(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Which stores were asked, what they answered, and which were left out."""
    kinds = {"asks": "name", "answer": "answer", "not asked": "why"}
    return [
        (step["what"], step["facts"]["store"], step["facts"][kinds[step["what"]]])
        for step in found["steps"]
        if step["what"] in kinds
    ]


async def test_a_login_is_rehearsed_step_by_step(api: httpx2.AsyncClient, service: LoginService):
    await api.post(STORES, json=described(service.url))
    await api.post(STORES, json=described(service.url, name="LEGACY", accepts="*@legacy.example"))
    await api.post(STORES, json=described(service.url, name="OFF", enabled=False))

    found = await rehearsed(api, "TestUser", "secret")

    assert found["decision"] == "accepted"
    assert found["user"]["name"] == "EXTERNAL/testuser@my_company"
    assert told(found) == [
        ("not asked", "LEGACY", "it accepts *@legacy.example only"),
        ("not asked", "OFF", "it is switched off"),
        ("asks", "EXTERNAL", "testuser"),
        ("answer", "EXTERNAL", "accepted"),
    ]


async def test_a_refusal_says_who_refused(api: httpx2.AsyncClient, service: LoginService):
    await api.post(STORES, json=described(service.url))

    found = await rehearsed(api, "testuser", "a-wrong-one")

    assert (found["decision"], found["user"]) == ("refused", None)
    assert "refused_by_EXTERNAL" in found["reason"]


async def test_primary_shadows_and_says_so(api: httpx2.AsyncClient, world: World, service: LoginService):
    await api.post(STORES, json=described(service.url))
    await world.user("testuser", "another password")

    found = await rehearsed(api, "testuser", "secret")

    assert told(found) == [
        ("not asked", "EXTERNAL", "PRIMARY knows the name"),
        ("asks", "PRIMARY", "testuser"),
        ("answer", "PRIMARY", "refused"),
    ]
    assert (await rehearsed(api, "EXTERNAL/testuser", "secret"))["decision"] == "accepted"


async def test_a_rehearsal_asks_what_a_client_would_ask(api: httpx2.AsyncClient, service: LoginService):
    await api.post(STORES, json=described(service.url))
    body = {"username": "testuser", "password": "secret"}

    found = [
        (await api.post("/rehearsals", json={**body, "user_stores": stores})).json()
        for stores in (["PRIMARY"], ["EXTERNAL"])
    ]

    left_out = [[step["facts"] for step in one["steps"] if step["what"] == "not asked"] for one in found]
    assert [one["decision"] for one in found] == ["refused", "accepted"]
    assert left_out == [
        [{"store": "EXTERNAL", "why": "the client does not ask it"}],
        [{"store": "PRIMARY", "why": "the client does not ask it"}],
    ]
    assert (await api.post("/rehearsals", json={**body, "user_stores": []})).status_code == 400


async def test_an_outage_is_told_from_a_refusal(api: httpx2.AsyncClient, service: LoginService):
    await api.post(STORES, json=described(service.url))
    service.mode = "500"

    found = await rehearsed(api, "testuser", "secret")

    assert found["decision"] == "unavailable"
    assert [step["facts"]["reason"] for step in found["steps"] if step["what"] == "answer"] == ["status_500"]


async def test_the_log_has_what_the_client_is_not_told(
    api: httpx2.AsyncClient, world: World, service: LoginService, capfd: pytest.CaptureFixture[str]
):
    await api.post(STORES, json=described(service.url))
    service.mode = "401"

    with pytest.raises(LoginUnavailable) as outage:
        await world.log_in("testuser", "secret")

    assert "status_401" not in str(outage.value)
    assert "status_401" in capfd.readouterr().out


async def test_wrong_passwords_count_here_too(api: httpx2.AsyncClient, service: LoginService):
    """An administrator does not get to guess without end."""
    await api.post(STORES, json=described(service.url))

    for _ in range(6):
        found = await rehearsed(api, "testuser", "a-wrong-one")

    assert "locked_in_EXTERNAL" in found["reason"]
