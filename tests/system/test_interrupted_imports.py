"""An import under fire: whatever is killed in the middle of it, begun again every user is there once."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.system.conftest import MakeServer
from tests.system.server import Server, clean_environment
from tests.system.waiting import until

USERS = 800
BEFORE_THE_KILL = 100
HASH = "pbkdf2_sha256$1000$salt$qN+JnzxPIE2WfgrWPAkph8EAVeuwF7PZ0ordIY1Peq0="

Kill = Callable[[Server, subprocess.Popen[str]], None]


@pytest.fixture
def file(scratch: Path) -> Path:
    made = scratch / "users.csv"
    lines = (f"user{n},{HASH},user{n}@example.com" for n in range(USERS))
    made.write_text("\n".join(["username,hash,claim:email", *lines]) + "\n")
    return made


@pytest.fixture
def importing(server: Server, file: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, under way."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ostiary", "users", "import", str(file)],
        env={**clean_environment(), "OSTIARY_DATA_DIR": str(server.directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def rows(server: Server, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{server.directory}/ostiary.db?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def count(server: Server) -> int:
    return int(str(rows(server, "SELECT count(*) FROM users WHERE username LIKE 'user%'")[0][0]))


def kill_the_command(_server: Server, command: subprocess.Popen[str]) -> None:
    command.kill()
    command.wait(10)


def kill_the_worker(server: Server, command: subprocess.Popen[str]) -> None:
    os.kill(server.find("ostiary.cli.worker"), signal.SIGKILL)
    command.wait(60)


def kill_the_server(server: Server, command: subprocess.Popen[str]) -> None:
    server.kill_everything()
    command.wait(60)
    server.start()


@pytest.mark.parametrize("kill", [kill_the_command, kill_the_worker, kill_the_server])
def test_an_import_that_was_killed_is_begun_again_and_everybody_is_there_once(
    server: Server, file: Path, importing: subprocess.Popen[str], kill: Kill
):
    until(lambda: count(server) >= BEFORE_THE_KILL, 30, "the beginning of the import")
    kill(server, importing)
    made_before = count(server)
    assert BEFORE_THE_KILL <= made_before < USERS

    if kill is not kill_the_command:
        said = importing.stderr.read() if importing.stderr else ""
        assert importing.returncode == 1
        assert "begin it again" in said, said
        assert HASH not in said
    again = until(lambda: _imported(server, file), 60, "the second import")

    created, there = again
    assert (created + there, there >= made_before) == (USERS, True)
    assert count(server) == USERS
    assert rows(server, _NOT_ONCE) == []
    with server.management() as http:  # a worker that was killed is passed over until its check succeeds
        last = until(lambda: _answered(http, f"user{USERS - 1}"), 10, "an answer of the worker")
    assert last["claims"] == {"email": f"user{USERS - 1}@example.com"}


def _answered(http: httpx2.Client, user: str) -> dict[str, Any] | None:
    said = http.get(f"/api/identity/v1/users/{user}")
    return None if said.status_code == 503 else said.json()


_NOT_ONCE = """
    SELECT users.username, count(subjects.id) FROM users LEFT JOIN subjects
    ON subjects.organization_id = users.organization_id AND subjects.store_id = 'PRIMARY'
    AND (subjects.immutable_id = users.id OR subjects.username = users.username)
    GROUP BY users.organization_id, users.username HAVING count(subjects.id) <> 1
"""
"""Users without exactly one subject of their own, by identifier and by name."""


def _imported(server: Server, file: Path) -> tuple[int, int] | None:
    """Created and there already; None while no worker answers yet."""
    done = server.ostiary("users", "import", str(file))
    if done.returncode != 0 and "no server" in done.stderr:
        return None
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) created, (\d+) there already, 0 refused", done.stdout)
    assert found is not None, done.stdout
    return int(found[1]), int(found[2])


def test_two_imports_at_once_make_everybody_once(a_server: MakeServer, file: Path, scratch: Path):
    server = a_server(workers=2).start()
    command = [sys.executable, "-m", "ostiary", "users", "import", str(file)]
    environment = {**clean_environment(), "OSTIARY_DATA_DIR": str(server.directory)}

    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0]
    created = [int(text.partition(" created")[0].split()[-1]) for text in said]
    assert sum(created) == USERS == count(server)
    assert rows(server, _NOT_ONCE) == []
