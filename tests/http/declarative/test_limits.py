"""One apply is bounded: nobody keeps the others from writing with a file."""

import asyncio
import copy
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.http.declarative.files import apply, lines, refusals, the_example
from tests.http.declarative.test_endpoint import URL, the_acme_file

from ostiary.foundation.database import Database

_EXPECTED = (
    "at most 1,000 entries in one apply (things, members and subscriptions of all documents); "
    "apply it in parts, what a file does not mention stays as it is"
)


def _many(count: int) -> list[str]:
    return [f"user{number}" for number in range(count)]


TOO_MUCH: dict[str, dict[str, Any]] = {
    "users": {"users": [{"username": name} for name in _many(1_001)]},
    "scopes": {"scopes": [{"name": name, "everyone": True} for name in _many(1_001)]},
    "roles": {"roles": [{"name": "clerk", "users": _many(1_000)}]},
    "applications": {"applications": [{"subscriptions": [{"api": n, "version": "1"} for n in _many(1_000)]}]},
}


@pytest.mark.parametrize("part", TOO_MUCH)
def test_a_file_that_would_hold_the_writer_is_refused_before_it_is_read(local: TestClient, part: str):
    answer = local.post(URL, json={"documents": [the_acme_file(**TOO_MUCH[part])]})
    assert answer.status_code == 400
    assert answer.json()["complaints"] == [
        {"path": ["documents", 0, part], "found": "entry 1,001", "expected": _EXPECTED, "hint": ""}
    ]


def test_many_small_documents_are_counted_together(local: TestClient):
    users = [{"username": name} for name in _many(500)]
    answer = local.post(URL, json={"documents": [the_acme_file(users=users)] * 3})
    assert answer.json()["complaints"][0]["path"] == ["documents", 2, "users"]


def test_one_entry_that_holds_everything_is_refused(local: TestClient):
    claims = dict.fromkeys(_many(40001), "x")
    answer = local.post(
        URL, json={"documents": [the_acme_file(users=[{"username": "bob", "claims": claims}])]}
    )
    assert answer.status_code == 400
    assert answer.json()["description"].startswith("documents[0].users: found value 40,001, expected at most")


async def test_a_short_file_cannot_remove_without_bound(sqlite_database: Database):
    content = the_example()
    for number in range(2):
        content["roles"][number]["users"] = _many(350)
    await apply(sqlite_database, content)
    for number in range(2):
        content["roles"][number]["users"] = [f"other{name}" for name in _many(350)]

    assert await refusals(sqlite_database, content) == [
        "documents[0]: found change 1,201 (at the role clerk), "
        "expected at most 1,200 changes in one apply; apply it in parts"
    ]


async def test_mistakes_without_end_are_answered_with_the_first_hundred(sqlite_database: Database):
    content = the_example()
    content["users"] = [{"username": n, "password": "x", "roles": [f"no{n}"]} for n in _many(400)]
    content["scopes"] = [{"name": name, "everyone": True} for name in _many(400)]
    said = await refusals(sqlite_database, content)
    assert len(said) == 100
    assert all(len(line) < 500 for line in said)


async def test_a_dry_run_waits_for_no_writer_and_keeps_none_waiting(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = copy.deepcopy(the_example())
    content["plans"][0]["requests"] = 6
    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    written: asyncio.Future[None] = loop.create_future()

    def hold(_: Any) -> None:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(_until(written), loop).result(30)

    writing = asyncio.create_task(sqlite_database.write(hold))
    await begun.wait()
    assert lines(await apply(sqlite_database, content, dry_run=True)) == ["~ plan Tiny"]
    assert not writing.done()
    written.set_result(None)
    await writing


async def _until(future: "asyncio.Future[None]") -> None:
    await future


async def test_a_file_cannot_remove_the_last_administrator_of_the_installation(database: Database):
    content = the_example() | {"organization": {"name": "default"}}
    content["users"][0]["roles"] = ["admin"]
    await apply(database, content)
    content["users"][0]["roles"] = []
    refused = ["documents[0].users: the role admin of the organization default must keep a user or client"]
    assert await refusals(database, content) == refused
    assert await refusals(database, content, dry_run=True) == refused

    content["roles"].append({"name": "admin", "users": ["EXTERNAL/testuser"]})
    assert "~ role admin" in lines(await apply(database, content))
    del content["users"][0]["roles"]
    content["roles"][-1]["users"] = []
    assert len(await refusals(database, content)) == 1
