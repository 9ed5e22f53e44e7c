"""/api/identity/v1/users"""

import httpx2
import pytest
from tests.support.identity import World, a_world

from ostiary.identity import LoginRefused


async def test_a_created_user_can_log_in_and_the_answer_holds_no_password(
    api: httpx2.AsyncClient, world: World
):
    answer = await api.post(
        "/users", json={"username": "Bob", "password": "a secret", "claims": {"email": "b@example.com"}}
    )

    user = await world.log_in("bob", "a secret")
    now = answer.json()["created_at"]
    assert answer.status_code == 201
    assert answer.json() == {
        "username": "bob",
        "subject": user.subject.id,
        "claims": {"email": "b@example.com"},
        "disabled": False,
        "created_at": now,
        "updated_at": now,
    }


async def test_a_taken_name_is_a_conflict_and_changes_nothing(api: httpx2.AsyncClient, world: World):
    await world.user("bob")

    answer = await api.post("/users", json={"username": "BOB@my_company", "password": "other"})

    assert answer.status_code == 409
    await world.log_in("bob")


async def test_a_change_keeps_the_password_and_a_disabled_user_is_out(api: httpx2.AsyncClient, world: World):
    await world.user("bob")

    answer = await api.put("/users/bob", json={"claims": {"team": "a"}})
    assert (answer.status_code, answer.json()["claims"]) == (200, {"team": "a"})
    await world.log_in("bob")

    answer = await api.put("/users/bob", json={"disabled": True})
    assert answer.json()["disabled"] is True
    with pytest.raises(LoginRefused):
        await world.log_in("bob")


async def test_users_are_listed_in_pages(api: httpx2.AsyncClient, world: World):
    for username in ("cid", "ann", "bob"):
        await world.user(username)

    first = (await api.get("/users", params={"limit": 2})).json()["users"]
    second = (await api.get("/users", params={"limit": 2, "after": first[-1]["username"]})).json()["users"]

    assert [user["username"] for user in first + second] == ["ann", "bob", "cid"]


async def test_a_deleted_user_is_gone(api: httpx2.AsyncClient, world: World):
    await world.user("bob")

    assert (await api.delete("/users/bob")).status_code == 204
    assert (await api.get("/users/bob")).status_code == 404
    assert (await api.delete("/users/bob")).json() == {
        "code": "404",
        "message": "Not Found",
        "description": "there is no such user",
        "traceId": "trace",
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "a b", "password": "x"}, "username"),
        ({"username": "EXTERNAL/bob", "password": "x"}, "username"),
        ({"username": "bob"}, "password"),
        ({"username": "bob", "password": " "}, "password"),
        ({"username": "bob", "password": "x", "claims": {"": "x"}}, "claims"),
        ({"username": "bob", "password": "x", "claims": {"a": "\x00"}}, "claims"),
        ({"username": "bob", "password": "x", "role": "admin"}, "role"),
        ({"username": "bob", "password": "x", "claims": {"a": 1}}, "claims"),
        ({"password": "x"}, "username"),
    ],
)
async def test_bad_input_names_the_field_and_changes_nothing(
    api: httpx2.AsyncClient, body: dict[str, object], field: str
):
    answer = await api.post("/users", json=body)

    assert answer.status_code == 400
    assert field in answer.json()["description"]
    assert (await api.get("/users")).json() == {"users": []}


@pytest.mark.parametrize(
    "path", ["/users/%00", "/users/%ff", "/user-stores/%00", "/users/a%2Fb", "/users/%C3%9F"]
)
async def test_an_odd_name_is_just_not_found(api: httpx2.AsyncClient, path: str):
    assert (await api.get(path)).status_code == 404


async def test_another_organizations_users_are_not_here(api: httpx2.AsyncClient, world: World):
    other = await a_world(world.database, name="other_company")
    await other.user("zoe")

    assert (await api.get("/users/zoe")).status_code == 404
    assert (await api.put("/users/zoe", json={"password": "taken over"})).status_code == 404
    assert (await api.delete("/users/zoe")).status_code == 404
    await other.authentication.close()


EVERY_ROUTE = [
    ("GET", "/users"),
    ("POST", "/users"),
    ("GET", "/users/bob"),
    ("PUT", "/users/bob"),
    ("DELETE", "/users/bob"),
    ("GET", "/user-stores"),
    ("POST", "/user-stores"),
    ("GET", "/user-stores/EXTERNAL"),
    ("PUT", "/user-stores/EXTERNAL"),
    ("DELETE", "/user-stores/EXTERNAL"),
]


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
async def test_nobody_without_the_role_passes(api: httpx2.AsyncClient, method: str, path: str):
    assert (await api.request(method, path, headers={"X-Caller": "clerk"})).status_code == 403
    del api.headers["X-Caller"]
    assert (await api.request(method, path)).status_code == 401
