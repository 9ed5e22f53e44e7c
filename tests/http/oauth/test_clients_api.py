"""/api/oauth/v1/clients and /scopes: what administrators register."""

import json
from typing import Any

import pytest
from sqlalchemy import select
from tests.http.oauth.installation import SECRET, Installation

from ostiary.foundation.events import outbox
from ostiary.oauth.tables import clients

ADMIN = {"X-Caller": "admin"}
JSON = {**ADMIN, "Content-Type": "application/json"}
CLIENTS = "/t/my_company/api/oauth/v1/clients"
SCOPES = "/t/my_company/api/oauth/v1/scopes"
PLAIN = {
    "client_id": "mobile",
    "name": "mobile",
    "grant_types": ["client_credentials"],
    "token_format": "jwt",
    "scopes": None,
    "default_scope": [],
    "strict_scopes": False,
    "internal_scopes": False,
    "public": False,
    "disabled": False,
    "access_token_lifetime_seconds": None,
    "refresh_token_lifetime_seconds": None,
    "validity_period": "fixed",
    "user_stores": None,
}
REGISTRATION: dict[str, Any] = {"client_id": "mobile", "grant_types": ["client_credentials"]}


async def register(installation: Installation, **body: Any) -> Any:
    return await installation.http.post(CLIENTS, content=json.dumps(body), headers=JSON)


async def test_a_clients_secret_is_shown_once(on_both: Installation):
    answer = await register(on_both, **REGISTRATION)

    body = answer.json()
    secret = body.pop("client_secret")
    assert (answer.status_code, body, answer.headers["cache-control"]) == (201, PLAIN, "no-store")
    assert (await on_both.http.get(f"{CLIENTS}/mobile", headers=ADMIN)).json() == PLAIN
    assert (await on_both.http.get(CLIENTS, headers=ADMIN)).json() == {"clients": [PLAIN]}
    assert (await on_both.token(grant_type="client_credentials", secret=secret)).status_code == 200
    kept = await on_both.database.read(lambda c: str(c.execute(select(clients)).all()))
    assert secret not in kept


async def test_an_id_is_made_where_none_is_given(installation: Installation):
    body = (await register(installation, grant_types=["client_credentials"])).json()

    answer = await installation.token(
        body["client_id"], secret=body["client_secret"], grant_type="client_credentials"
    )

    assert answer.status_code == 200


async def test_two_organizations_cannot_have_one_client_id(on_both: Installation):
    """Client ids are unique in the installation; the error names the field."""
    await register(on_both, **REGISTRATION)

    answer = await on_both.http.post("/api/oauth/v1/clients", json=REGISTRATION, headers=ADMIN)
    replaced = await on_both.http.put("/api/oauth/v1/clients/mobile", json={}, headers=ADMIN)

    assert (answer.status_code, replaced.status_code) == (409, 409)
    body = answer.json()
    assert body.pop("traceId") == answer.headers["x-request-id"]
    assert body == {
        "code": "409",
        "message": "Conflict",
        "description": "client_id: mobile is taken in this installation; choose another",
    }


async def test_registering_a_client_twice_is_a_conflict(on_both: Installation):
    await register(on_both, **REGISTRATION)

    assert (await register(on_both, **REGISTRATION)).status_code == 409


async def test_putting_a_client_twice_changes_nothing(on_both: Installation):
    first = await on_both.http.put(f"{CLIENTS}/mobile", json={"client_secret": SECRET}, headers=ADMIN)

    again = await on_both.http.put(f"{CLIENTS}/mobile", json={}, headers=ADMIN)

    assert (first.status_code, again.status_code) == (201, 200)
    assert "client_secret" not in again.json()
    news = await on_both.database.read(
        lambda c: c.execute(select(outbox.c.key).where(outbox.c.topic == "client")).scalars().all()
    )
    assert news == ["mobile"]


async def test_a_secret_changes_where_a_new_one_is_given(on_both: Installation):
    await on_both.a_client()
    body = {"grant_types": ["client_credentials"], "client_secret": "another-secret"}

    await on_both.http.put(f"{CLIENTS}/mobile", json=body, headers=ADMIN)

    old = await on_both.token(grant_type="client_credentials")
    new = await on_both.token(grant_type="client_credentials", secret="another-secret")
    assert (old.status_code, new.status_code) == (401, 200)


@pytest.mark.parametrize(
    "narrower",
    [{"disabled": True}, {"scopes": ["other"]}, {"grant_types": ["password"]}],
    ids=str,
)
async def test_taking_something_from_a_client_refuses_its_tokens(
    on_both: Installation, narrower: dict[str, Any]
):
    await on_both.a_client()
    await on_both.a_client("resource_server")
    await on_both.a_scope("orders:read", everyone=True)
    token = (await on_both.token(grant_type="client_credentials", scope="orders:read")).json()["access_token"]
    grants = ["password", "client_credentials", "refresh_token"]

    await on_both.http.put(f"{CLIENTS}/mobile", json={"grant_types": grants, **narrower}, headers=ADMIN)

    assert await on_both.introspect(token, by="resource_server") == {"active": False}


async def test_giving_a_client_more_costs_it_no_token(on_both: Installation):
    await on_both.a_client(scopes=frozenset({"a"}))
    token = (await on_both.token(grant_type="client_credentials")).json()["access_token"]
    grants = ["password", "client_credentials", "refresh_token"]

    await on_both.http.put(
        f"{CLIENTS}/mobile", json={"grant_types": grants, "scopes": ["a", "b"]}, headers=ADMIN
    )

    assert (await on_both.introspect(token))["active"] is True


BAD_CLIENTS: dict[str, tuple[dict[str, Any], str]] = {
    "a space in the id": ({"client_id": "a b"}, "client_id"),
    "a NUL in the id": ({"client_id": "a\0b"}, "client_id"),
    "an id like a user's": ({"client_id": "6f9619ff-8b86-4011-b42d-00c04fc964ff"}, "client_id"),
    "half a surrogate pair": ({"name": "\ud800"}, "name"),
    "a long name": ({"name": "n" * 201}, "name"),
    "a NUL in the name": ({"name": "a\0b"}, "name"),
    "an empty secret": ({"client_secret": ""}, "client_secret"),
    "an unknown grant": ({"grant_types": ["implicit"]}, "grant_types"),
    "a public client with a secret": ({"public": True, "client_secret": "x"}, "client_secret"),
    "a public client with passwords": ({"public": True, "grant_types": ["password"]}, "grant_types"),
    "a public client for itself": ({"public": True, "grant_types": ["client_credentials"]}, "grant_types"),
    "a quote in a scope": ({"scopes": ['a"b']}, "scopes"),
    "an internal scope": ({"scopes": ["internal_login"]}, "scopes"),
    "a reserved scope": ({"default_scope": ["openid"]}, "default_scope"),
    "a default beyond the list": ({"scopes": ["a"], "default_scope": ["b"]}, "default_scope"),
}


async def test_a_wrong_field_is_named_and_nothing_is_registered(on_both: Installation):
    answers = {case: await register(on_both, **body) for case, (body, _) in BAD_CLIENTS.items()}

    assert {
        case: (answer.status_code, answer.json()["description"].partition(":")[0])
        for case, answer in answers.items()
    } == {case: (400, field) for case, (_, field) in BAD_CLIENTS.items()}
    assert (await on_both.http.get(CLIENTS, headers=ADMIN)).json() == {"clients": []}


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"", b"\xff", b'{"unknown": 1}', b'{"name": null}', b'{"grant_types": "x"}']
)
async def test_a_body_that_does_not_fit_is_refused(installation: Installation, content: bytes):
    answer = await installation.http.post(CLIENTS, content=content, headers=JSON)

    assert 400 <= answer.status_code < 500
    assert (await installation.http.get(CLIENTS, headers=ADMIN)).json() == {"clients": []}


async def test_a_client_is_removed_once(on_both: Installation):
    await on_both.a_client()

    answers = [await on_both.http.delete(f"{CLIENTS}/mobile", headers=ADMIN) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 404]
    assert (await on_both.token(grant_type="client_credentials")).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/mobile"), ("DELETE", "/mobile"), ("GET", "/a%00b"), ("DELETE", "/a%00b")]
)
async def test_another_organizations_client_is_not_found(on_both: Installation, method: str, path: str):
    """Tenant isolation: every operation with another organization's id is a 404."""
    await on_both.a_client()

    answer = await on_both.http.request(method, f"/api/oauth/v1/clients{path}", headers=ADMIN)

    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", ""), ("GET", "/mobile"), ("PUT", "/mobile"), ("DELETE", "/mobile")],
)
async def test_clients_are_for_administrators(installation: Installation, method: str, path: str):
    assert (await installation.http.request(method, CLIENTS + path, json={})).status_code == 401


SCOPE = {"display_name": "", "description": "", "roles": [], "everyone": False}


async def test_a_scope_is_put_listed_and_removed(on_both: Installation):
    write = {"display_name": "Write", "roles": ["clerk"]}
    put = await on_both.http.put(f"{SCOPES}/orders:write", json=write, headers=ADMIN)
    path = await on_both.http.put(f"{SCOPES}/https://a.example/b", json={"everyone": True}, headers=ADMIN)
    listed = await on_both.http.get(SCOPES, headers=ADMIN)

    gone = [await on_both.http.delete(f"{SCOPES}/orders:write", headers=ADMIN) for _ in range(2)]

    assert [answer.status_code for answer in [put, path, *gone]] == [200, 200, 204, 404]
    assert listed.json() == {
        "scopes": [
            {**SCOPE, "name": "https://a.example/b", "everyone": True},
            {**SCOPE, "name": "orders:write", "display_name": "Write", "roles": ["clerk"]},
        ]
    }


BAD_SCOPES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("default", {}, "name"),
    ("internal_login", {}, "name"),
    ("SYSTEM", {}, "name"),
    ("a%20b", {}, "name"),
    ("a%00b", {}, "name"),
    ("a", {"roles": ["x"], "everyone": True}, "roles"),
    ("a", {"roles": ["a\0b"]}, "roles"),
    ("a", {"roles": ["\udfff"]}, "roles"),
    ("a", {"description": "d" * 1_001}, "description"),
    ("a", {"description": "a\0b"}, "description"),
)


async def test_a_wrong_scope_is_refused_by_field(on_both: Installation):
    answers = [
        await on_both.http.put(f"{SCOPES}/{name}", content=json.dumps(body), headers=JSON)
        for name, body, _ in BAD_SCOPES
    ]

    told = [(answer.status_code, answer.json()["description"].partition(":")[0]) for answer in answers]
    assert told == [(400, field) for _, _, field in BAD_SCOPES]
    assert (await on_both.http.get(SCOPES, headers=ADMIN)).json() == {"scopes": []}


async def test_scopes_are_for_administrators(installation: Installation):
    answers = [
        await installation.http.get(SCOPES),
        await installation.http.put(f"{SCOPES}/a", json={}),
        await installation.http.delete(f"{SCOPES}/a"),
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 401]
