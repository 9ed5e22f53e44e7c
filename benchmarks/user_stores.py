"""What a login costs us beyond what the user store does itself, and what one hanging store costs the others.

    python -m benchmarks.user_stores [--people 100000] [--logins 300]

Starts the servers that the tests use: slapd, PostgreSQL, MariaDB, a REST service in a process of its own.
CPU is that of this process, which does all that a worker does in a login: chain, lock-out, adapter, subject,
commit. The hash of a table is computed here; its cost is printed beside. Ratios are of medians, in turns.
"""

import argparse
import asyncio
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from tests.support import directory_server as ldap
from tests.support import sql_servers as sql
from tests.support.certificates import Authority
from tests.support.identity import BOX, World, a_world
from tests.support.login_service import SERVICE_PASSWORD, SERVICE_USER
from tests.support.ports import free_port

from ostiary.app import migrate
from ostiary.foundation.database import Database
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.foundation.telemetry import configure_logging
from ostiary.identity import UserStores, find_user_store
from ostiary.identity.hashes import verify
from ostiary.identity.user_stores.contract import UserStore

PARALLEL = 50


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=100_000, help="entries of the directory")
    arguments.add_argument("--logins", type=int, default=300, help="logins for each figure")
    said = arguments.parse_args()
    configure_logging("json", logging.ERROR)
    with servers(said.people) as stores:
        print(json.dumps(asyncio.run(measured(stores, said.people, said.logins)), indent=2))


@contextmanager
def servers(people: int) -> Iterator[dict[str, tuple[str, dict[str, Any]]]]:
    """Type and settings of each store, by name."""
    authority = Authority()
    with tempfile.TemporaryDirectory(prefix="ostiary-stores-", dir="/tmp") as name:
        folder = Path(name)
        for part in ("slapd", "postgresql", "mariadb"):
            (folder / part).mkdir()
        directory = ldap.DirectoryServer(folder / "slapd", authority)
        directory.load(ldap.person(f"p{number}") for number in range(people))
        directory.start()
        postgresql, mariadb = (
            sql.PostgreSQL(folder / "postgresql"),
            sql.MariaDB(folder / "mariadb", authority),
        )
        with rest_service() as url:
            yield {
                "LDAP": ("ldap", _directory(directory, authority)),
                "POSTGRESQL": ("sql", _database(postgresql.url)),
                "MARIADB": ("sql", _database(mariadb.url)),
                "REST": ("rest", {"url": url, "auth": {"basic": _us()}}),
            }
        for server in (directory, postgresql, mariadb):
            server.stop()


async def measured(stores: dict[str, tuple[str, dict[str, Any]]], people: int, logins: int) -> dict[str, Any]:
    """Every figure."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ostiary.db"
        migrate(url)
        database = Database.open(url)
        world = await a_world(database)
        for name, (kind, settings) in stores.items():
            await world.connect(kind, settings, name, timeout_ms=10_000, concurrency=PARALLEL)
        found: dict[str, Any] = {"hash of a table, ms": round(hash_cost(), 2)}
        for name in stores:
            who = "p7" if name == "LDAP" else "testuser"
            adapter = await live(world, name)
            found[f"{name}: CPU of its adapter, ms"] = await cpu(
                lambda who=who, adapter=adapter: adapter.authenticate(who, SecretStr("secret")), logins
            )
            await adapter.close()
            found[f"{name}: CPU of a whole login, ms"] = await cpu(
                lambda name=name, who=who: world.log_in(f"{name}/{who}", "secret"), logins
            )
        found[f"LDAP of {people} people, {PARALLEL} at once, logins a second"] = await parallel(
            world, people, logins
        )
        found["median login with a store hanging / without"] = await hanging(world, list(stores), 12)
        await world.authentication.close()
        await database.close()
        return found


async def live(world: World, name: str) -> UserStore:
    """The adapter of a store, with connections of its own."""
    settings = await world.database.read(lambda c: find_user_store(c, world.organization.id, name))
    assert settings is not None
    return UserStores(BOX, OutboundPolicy(), world.authentication.hasher).unshared(settings, {})


async def cpu(login: Callable[[], Awaitable[object]], logins: int) -> float:
    """Milliseconds of CPU, the lowest of three rows."""
    rows = []
    for _ in range(3):
        await login()
        began = time.process_time()
        for _ in range(logins):
            await login()
        rows.append((time.process_time() - began) / logins * 1000)
    return round(min(rows), 2)


async def parallel(world: World, people: int, logins: int) -> int:
    """Logins of different people, so many at once."""
    turn = asyncio.Semaphore(PARALLEL)

    async def one(number: int) -> None:
        async with turn:
            await world.log_in(f"LDAP/p{number * 37 % people}", "secret")

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(logins * 3)))
    return round(logins * 3 / (time.perf_counter() - began))


async def hanging(world: World, names: Sequence[str], rows: int) -> dict[str, float]:
    """For each store: the median login while ten logins hang in another store, to that while none does."""
    silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    address = {"url": f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/"}
    found = {}
    for name in names:
        who = f"{name}/{'p7' if name == 'LDAP' else 'testuser'}"
        times: dict[bool, list[float]] = {True: [], False: []}
        for number in range(rows):
            is_with = number % 2 == 0
            # Another revision each time: a store that hung before would be left alone, and nobody would hang.
            await world.connect("rest", address, "SILENT", timeout_ms=500 + number)
            lost = [asyncio.create_task(_lost(world)) for _ in range(10 * is_with)]
            await asyncio.sleep(0.1)
            for _ in range(20):
                began = time.perf_counter()
                await world.log_in(who, "secret")
                times[is_with].append(time.perf_counter() - began)
            await asyncio.gather(*lost, return_exceptions=True)
        found[name] = round(statistics.median(times[True]) / statistics.median(times[False]), 2)
    silent.close()
    return found


async def _lost(world: World) -> None:
    await world.log_in(f"SILENT/nobody{os.urandom(4).hex()}", "secret")


def hash_cost() -> float:
    """Milliseconds of CPU to verify the hash in the customers' table."""
    began = time.process_time()
    for _ in range(200):
        verify(sql.SECRET_HASH, SecretStr("secret"))
    return (time.process_time() - began) / 200 * 1000


@contextmanager
def rest_service() -> Iterator[str]:
    """A login service in a process of its own."""
    with tempfile.NamedTemporaryFile("w") as mode:
        mode.write("check")
        mode.flush()
        script = Path(__file__).parents[1] / "tests" / "support" / "login_service.py"
        command = [sys.executable, str(script), "--port", str(free_port()), "--mode-file", mode.name]
        process = subprocess.Popen([*command, "--user", "testuser=secret"], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()
            process.wait()


def _us() -> dict[str, str]:
    return {"username": SERVICE_USER, "password": SERVICE_PASSWORD}


def _directory(server: ldap.DirectoryServer, authority: Authority) -> dict[str, Any]:
    bind = {"dn": ldap.READER, "password": ldap.READER_PASSWORD}
    return {"urls": [server.tls_url], "ca": authority.ca, "bind": bind, "users": {"base": ldap.PEOPLE}}


def _database(url: str) -> dict[str, Any]:
    return {"url": url, "password": sql.READER_PASSWORD, "user_query": sql.USER_QUERY}


if __name__ == "__main__":
    main()
