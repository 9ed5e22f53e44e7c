"""An organization is removed while it is called: it ends within a second, another one notices nothing."""

import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from tests.system.conftest import MakeServer
from tests.system.scenes import WITHIN, Scene, World
from tests.system.server import Server
from tests.system.waiting import until
from tests.system.world import LoginServices

from ostiary.organizations.removing import KEPT

GONE_WITHIN = 60.0
"""The job waits fifteen seconds for what was being written."""
MANY_SUBJECTS = 30_000
TENANTS = "/api/server/v1/tenants"


@pytest.fixture
def world(a_server: MakeServer) -> Iterator[World]:
    services = LoginServices()
    made = World(a_server(http=True).start(), services.start().url)
    yield made
    made.close()
    services.close()


@dataclass
class Calling(threading.Thread):
    """Calls an API all the while; keeps what was answered."""

    call: Callable[[], int]
    answers: list[int] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = object.__hash__

    def run(self) -> None:
        while not self.over.is_set():
            self.answers.append(self.call())


def _database(server: Server) -> sqlite3.Connection:
    return sqlite3.connect(server.directory / "ostiary.db", timeout=30)


def _left(server: Server, identifier: str) -> dict[str, int]:
    """How many rows of the organization each table has, of those that are emptied."""
    with _database(server) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        owned = [
            table
            for table in tables
            if any(row[1] == "organization_id" for row in connection.execute(f'PRAGMA table_info("{table}")'))
        ]
        found = {
            table: connection.execute(
                f'SELECT count(*) FROM "{table}" WHERE organization_id = ?',
                (identifier,),
            ).fetchone()[0]
            for table in owned
            if table not in KEPT
        }
    return {table: rows for table, rows in found.items() if rows}


def _give_it_much_to_remove(server: Server, identifier: str) -> None:
    """So that there is a middle in which the server can be killed."""
    columns = "id, organization_id, store_id, store, immutable_id, username, first_seen_at"
    rows = [(f"s{n}", identifier, "PRIMARY", "PRIMARY", f"i{n}", f"u{n}", 0) for n in range(MANY_SUBJECTS)]
    with _database(server) as connection:
        connection.executemany(f"INSERT INTO subjects ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


@contextmanager
def others_are_served(scene: Scene, token: str) -> Iterator[None]:
    """Whatever happens meanwhile, each call of another organization is answered."""
    calling = Calling(lambda: scene.send(token).status_code)
    calling.start()
    yield
    calling.over.set()
    calling.join()
    assert calling.answers
    assert set(calling.answers) == {200}


def test_a_removed_organization_ends_within_a_second_and_leaves_nothing(world: World) -> None:
    """Also where the server is killed in the middle of taking it away; its name is given again then."""
    shop, opaque = (Scene(world, world.organization("shop"), token_format=f) for f in ("jwt", "opaque"))
    other = Scene(world, world.organization("other"))
    theirs, tokens = other.kept(), [(shop, shop.kept()), (shop, shop.users()), (opaque, opaque.kept())]
    for scene, token in (*tokens, (other, theirs)):
        until(lambda scene=scene, token=token: scene.send(token).status_code == 200)
    ask = other.admin.of_the_installation
    identifier = str(ask("GET", f"{TENANTS}/domain/shop").json()["id"])
    _give_it_much_to_remove(world.server, identifier)

    with others_are_served(other, theirs):
        assert ask("DELETE", f"{TENANTS}/{identifier}").status_code == 204
        for scene, token in tokens:
            until(lambda scene=scene, token=token: scene.send(token).status_code == 404, WITHIN)
        assert shop.token().status_code == 401
        until(lambda: 0 < _left(world.server, identifier).get("subjects", 0) < MANY_SUBJECTS, GONE_WITHIN)
    assert world.server.process is not None
    os.kill(world.server.process.pid, signal.SIGKILL)
    world.server.process.wait()
    assert _left(world.server, identifier)

    world.server.start()
    with others_are_served(other, theirs):
        assert shop.token().status_code == 401
        assert shop.send(tokens[0][1]).status_code == 404
        until(lambda: ask("HEAD", f"{TENANTS}/domain/shop").status_code == 404, GONE_WITHIN)
    assert _left(world.server, identifier) == {}

    world.forget("shop")
    again = Scene(world, world.organization("shop"))
    until(lambda: again.send(again.kept()).status_code == 200)
    assert [again.send(token).status_code for _, token in tokens] == [401, 401, 401]
