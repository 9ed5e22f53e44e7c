"""/api/identity/oauth2/v1.0/scopes: scopes in the form of WSO2 Identity Server."""

import asyncio
from typing import Any

import httpx2
import pytest
from tests.http.oauth.installation import SECRET, Installation
from tests.support.identity import PASSWORD

SCOPES = "/t/my_company/api/identity/oauth2/v1.0/scopes"
ADMIN = {"X-Caller": "admin"}
WRITE: dict[str, Any] = {
    "name": "orders:write",
    "displayName": "Write orders",
    "description": "Create and change orders",
    "bindings": ["clerk"],
}
SHOWN = {**WRITE, "scopeBindings": [{"bindingType": "DEFAULT", "binding": ["clerk"]}], "everyone": False}


async def ask(
    to: Installation, method: str, path: str = "", body: Any = None, **more: Any
) -> httpx2.Response:
    return await to.http.request(method, f"{SCOPES}{path}", json=body, headers=ADMIN, **more)


def code(answer: httpx2.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"code", "message", "description", "traceId"}
    return answer.status_code, body["code"]


async def test_a_scope_is_added_read_and_listed(on_both: Installation):
    made = await ask(on_both, "POST", body=WRITE)

    assert (made.status_code, made.json()) == (201, SHOWN)
    assert made.headers["location"] == f"{SCOPES}/name/orders:write"
    assert (await ask(on_both, "GET", "/name/orders:write")).json() == SHOWN
    assert SHOWN in (await ask(on_both, "GET")).json()
    assert (await ask(on_both, "HEAD", "/name/orders:write")).status_code == 200
    assert (await ask(on_both, "HEAD", "/name/orders:read")).status_code == 404


async def test_a_name_may_hold_slashes(installation: Installation):
    body = {**WRITE, "name": "https://shop.example/orders/write"}
    assert (await ask(installation, "POST", body=body)).status_code == 201

    found = await ask(installation, "GET", f"/name/{body['name']}")

    assert found.json()["name"] == body["name"]


async def test_a_scope_is_changed_and_deleted(installation: Installation):
    await ask(installation, "POST", body=WRITE)
    body = {"displayName": "orders:write", "scopeBindings": [{"bindingType": "DEFAULT", "binding": ["boss"]}]}

    changed = await ask(installation, "PUT", "/name/orders:write", body)

    assert (changed.status_code, changed.json()["bindings"]) == (200, ["boss"])
    assert (await ask(installation, "GET", "/name/orders:write")).json() == changed.json()
    assert (await ask(installation, "DELETE", "/name/orders:write")).status_code == 204
    for method in ("GET", "PUT", "DELETE"):
        gone = await ask(installation, method, "/name/orders:write", body if method == "PUT" else None)
        assert code(gone) == (404, "41003")


async def test_what_is_read_can_be_put_back_and_changes_nothing(installation: Installation):
    for body in (WRITE, {"name": "news", "displayName": "News", "everyone": True}):
        shown = (await ask(installation, "POST", body=body)).json()
        put = await ask(installation, "PUT", f"/name/{body['name']}", shown)
        assert put.json() == shown


async def test_nothing_bound_means_nobody(installation: Installation):
    """Not everybody, as it does there: that is said with `everyone`."""
    await installation.a_client()
    await installation.world.user("bob")
    await ask(installation, "POST", body={"name": "shut", "displayName": "Shut"})
    await ask(installation, "POST", body={"name": "open", "displayName": "Open", "everyone": True})

    answer = await installation.token(
        secret=SECRET, grant_type="password", username="bob", password=PASSWORD, scope="shut open"
    )

    assert answer.json()["scope"] == "open"


async def test_taking_a_role_away_ends_the_tokens_that_carry_the_scope(installation: Installation):
    await installation.a_client()
    await installation.world.user("bob")
    await ask(installation, "POST", body={"name": "news", "displayName": "News", "everyone": True})
    answer = await installation.token(
        secret=SECRET, grant_type="password", username="bob", password=PASSWORD, scope="news"
    )
    token = answer.json()["access_token"]
    assert (await installation.introspect(token))["active"] is True

    await ask(installation, "PUT", "/name/news", {"displayName": "News", "bindings": ["clerk"]})

    assert (await installation.introspect(token))["active"] is False


async def test_internal_scopes_are_listed_with_their_permissions(installation: Installation):
    await ask(installation, "POST", body=WRITE)

    listed = (await ask(installation, "GET")).json()
    one = await ask(installation, "GET", "/name/internal_session_view")

    names = [scope["name"] for scope in listed]
    assert names == sorted(names)
    assert {"orders:write", "internal_session_view"} <= set(names)
    assert one.json() in listed
    assert one.json()["scopeBindings"] == [
        {
            "bindingType": "PERMISSIONS",
            "binding": ["/permission/admin/manage/identity/authentication/session/view"],
        }
    ]


@pytest.mark.parametrize("name", ["internal_session_view", "internal_of_mine", "internal_login"])
async def test_internal_scopes_cannot_be_added_changed_or_deleted(installation: Installation, name: str):
    body = {**WRITE, "name": name}

    assert code(await ask(installation, "POST", body=body)) == (403, "41008")
    assert code(await ask(installation, "PUT", f"/name/{name}", body)) == (403, "41009")
    assert code(await ask(installation, "DELETE", f"/name/{name}")) == (403, "41010")


@pytest.mark.parametrize("name", ["openid", "SYSTEM", "default"])
async def test_other_reserved_scopes_are_the_systems(installation: Installation, name: str):
    assert code(await ask(installation, "POST", body={**WRITE, "name": name})) == (403, "41012")


async def test_a_name_is_given_once_however_many_ask_at_once(on_both: Installation):
    answers = await asyncio.gather(*(ask(on_both, "POST", body=WRITE) for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    taken = next(answer for answer in answers if answer.status_code == 409)
    assert code(taken) == (409, "41004")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": ""}, "41001"),
        ({"name": None}, "400"),
        ({"displayName": None}, "41002"),
        ({"displayName": " "}, "41002"),
        ({"name": "two words"}, "41006"),
        ({"name": "tab\tbed"}, "41006"),
        ({"name": 'a"b'}, "41011"),
        ({"name": "ümlaut"}, "41011"),
        ({"name": "a" * 201}, "41013"),
        ({"displayName": "a" * 256}, "41014"),
        ({"displayName": "nul\x00"}, "41007"),
        ({"description": "a" * 1001}, "41015"),
        ({"description": "nul\x00"}, "41007"),
        ({"bindings": [""]}, "41007"),
        ({"everyone": True}, "41007"),
        ({"bindings": "clerk"}, "400"),
        ({"scopeBindings": [{"bindingType": "PERMISSIONS", "binding": ["/permission/admin"]}]}, "400"),
    ],
)
async def test_what_is_wrong_is_named_by_its_number(
    installation: Installation, change: dict[str, Any], expected: str
):
    answer = await ask(installation, "POST", body={**WRITE, **change})

    if expected == "400":
        assert answer.status_code in (400, 422)
    else:
        assert code(answer) == (400, expected)
    assert (await ask(installation, "HEAD", "/name/orders:write")).status_code == 404


async def test_a_page_begins_where_it_is_asked_to(installation: Installation):
    whole = (await ask(installation, "GET")).json()

    assert (await ask(installation, "GET", params={"startIndex": 3, "count": 2})).json() == whole[2:4]
    assert (await ask(installation, "GET", params={"startIndex": 0, "count": 1})).json() == whole[:1]


async def test_the_scopes_of_another_organization_are_not_there(installation: Installation):
    await ask(installation, "POST", body=WRITE)

    elsewhere = await installation.http.get(SCOPES.removeprefix("/t/my_company"), headers=ADMIN)

    assert "orders:write" not in [scope["name"] for scope in elsewhere.json()]
