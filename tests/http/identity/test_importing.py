"""Importing users with hashes that others made: /api/identity/v1/users/import."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.identity import World

from ostiary.identity import LoginRefused, list_users
from ostiary.identity.repository import users

KNOWN = Path(__file__).parents[2] / "unit" / "identity" / "known_hashes.txt"
HASHES = {
    made: text
    for scheme, made, text in (line.split(" | ", 2) for line in KNOWN.read_text().splitlines()[1:])
    if scheme != "ASP.NET Identity"
}
PASSWORD = "correct horse"


async def imported(api: httpx2.AsyncClient, *said: dict[str, Any], **how: Any) -> list[tuple[str, str]]:
    answer = await api.post("/users/import", json={"users": list(said), **how})
    assert answer.status_code == 200, answer.text
    return [(one["outcome"], one["field"]) for one in answer.json()["users"]]


async def kept_hash(world: World, name: str) -> str:
    found = await world.database.read(lambda c: users.credential(c, world.organization.id, name))
    assert found is not None
    return found.password_hash


async def test_every_scheme_logs_in_and_becomes_ours(api: httpx2.AsyncClient, world: World):
    said = [{"username": f"user{number}", "hash": text} for number, text in enumerate(HASHES.values())]
    assert await imported(api, *said) == [("created", "")] * len(said)

    for number, text in enumerate(HASHES.values()):
        name = f"user{number}"
        with pytest.raises(LoginRefused):
            await world.log_in(name, "wrong")
        assert await kept_hash(world, name) == text
        await world.log_in(name, PASSWORD)
        assert (await kept_hash(world, name)).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        await world.log_in(name, PASSWORD)


async def test_who_is_there_stays_as_it_is(api: httpx2.AsyncClient, world: World):
    await world.user("bob", "his own password")
    one = {"username": "BOB", "hash": HASHES["slappasswd SSHA"]}
    other = {"username": "eve", "hash": HASHES["slappasswd SSHA"]}

    assert await imported(api, one, other) == [("exists", ""), ("created", "")]
    assert await imported(api, one, other) == [("exists", ""), ("exists", "")]
    await world.log_in("bob", "his own password")
    with pytest.raises(LoginRefused):
        await world.log_in("bob", PASSWORD)


async def test_a_refused_user_costs_nobody_else(api: httpx2.AsyncClient, world: World):
    good = HASHES["slappasswd SSHA"]
    said = [
        {"username": "a", "hash": good},
        {"username": "a/b", "hash": good},
        {"username": "", "hash": good},
        {"username": "weak", "hash": "{MD5}x"},
        {"username": "plain", "hash": "secret"},
        {"username": "claims", "hash": good, "claims": {"x": "y" * 2000}},
        {"username": "A", "hash": good},
        {"username": "z", "hash": good},
    ]

    assert await imported(api, *said) == [
        ("created", ""),
        ("refused", "username"),
        ("refused", "username"),
        ("refused", "hash"),
        ("refused", "hash"),
        ("refused", "claims"),
        ("exists", ""),
        ("created", ""),
    ]
    await world.log_in("z", PASSWORD)


async def test_a_disabled_user_stays_out(api: httpx2.AsyncClient, world: World):
    await imported(api, {"username": "bob", "hash": HASHES["slappasswd SSHA"], "disabled": True})

    with pytest.raises(LoginRefused):
        await world.log_in("bob", PASSWORD)


async def test_others_write_between_the_units_of_an_import(api: httpx2.AsyncClient, world: World):
    """A request of 200 users would keep the writer for a tenth of a second and more."""
    good = HASHES["slappasswd SSHA"]
    said = [{"username": f"user{n}", "hash": good, "disabled": True} for n in range(200)]
    there: list[int] = []
    importing = asyncio.create_task(imported(api, *said))

    while not importing.done():
        found = await world.database.write(lambda c: list_users(c, world.organization.id, limit=1_000))
        there.append(len(found))

    assert await importing == [("created", "")] * 200
    assert len({count for count in there if 0 < count < 200}) >= 4, there


async def test_a_dry_run_changes_nothing(api: httpx2.AsyncClient):
    one = {"username": "bob", "hash": HASHES["slappasswd SSHA"]}

    assert await imported(api, one, dry_run=True) == [("created", "")]

    assert (await api.get("/users/bob")).status_code == 404


@pytest.mark.parametrize(
    "body", [{}, {"users": []}, {"users": [{"username": "a"}]}, {"users": [1]}, {"users": None}]
)
async def test_bad_input_is_refused(api: httpx2.AsyncClient, body: dict[str, Any]):
    assert (await api.post("/users/import", json=body)).status_code == 400


async def test_roles_are_not_given_by_an_import(api: httpx2.AsyncClient):
    one = {"username": "eve", "hash": HASHES["slappasswd SSHA"], "roles": ["admin"]}

    assert (await api.post("/users/import", json={"users": [one]})).status_code == 400
