"""The SQLite writer: groups, failing commits, several processes."""

import asyncio
import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from ostiary.foundation.database import Database, write_engine


def prepare(path: Path) -> str:
    url = f"sqlite:///{path}/ostiary.db"
    engine = write_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        connection.execute(
            text("CREATE TABLE child (id INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)")
        )
        connection.execute(text("CREATE TABLE counter (n INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))
    engine.dispose()
    return url


async def test_a_commit_that_fails_fails_every_unit_of_its_group(tmp_path: Path) -> None:
    database = Database.open(prepare(tmp_path))

    def orphan(connection: Connection) -> None:
        connection.execute(text("INSERT INTO child VALUES (99)"))  # breaks a constraint checked at COMMIT

    with pytest.raises(Exception, match="FOREIGN KEY"):
        await database.write(orphan)
    await database.write(lambda connection: connection.execute(text("UPDATE counter SET n = 1")))

    assert await database.read(lambda c: c.execute(text("SELECT n FROM counter")).scalar_one()) == 1
    assert await database.read(lambda c: c.execute(text("SELECT count(*) FROM child")).scalar_one()) == 0
    await database.close()


async def test_a_cancelled_caller_harms_nobody(tmp_path: Path) -> None:
    database = Database.open(prepare(tmp_path))
    add = "UPDATE counter SET n = n + 1"
    tasks = [asyncio.create_task(database.write(lambda c: c.execute(text(add)).rowcount)) for _ in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()

    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert list(results[1::2]) == [1] * 25
    assert await database.write(lambda c: c.execute(text(add)).rowcount) == 1
    await database.close()


def count_in_another_process(url: str) -> None:
    async def count() -> None:
        database = Database.open(url)
        increments = [
            database.write(lambda c: c.execute(text("UPDATE counter SET n = n + 1")).rowcount)
            for _ in range(200)
        ]
        await asyncio.gather(*increments)
        await database.close()

    asyncio.run(count())


def test_several_processes_write_without_losing_anything(tmp_path: Path) -> None:
    url = prepare(tmp_path)

    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as processes:
        list(processes.map(count_in_another_process, [url] * 3))

    engine = write_engine(url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT n FROM counter")).scalar_one() == 600
    engine.dispose()


async def test_brief_units_that_come_together_take_few_turns_of_the_event_loop(tmp_path: Path) -> None:
    """Whoever else wants to write waits for each of these turns."""
    database = Database.open(prepare(tmp_path))
    loop, turn, seen, have_come = asyncio.get_running_loop(), 0, [], threading.Event()

    def count() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(count)

    count()
    first = asyncio.ensure_future(database.write(lambda _: have_come.wait(10)))
    units = [database.write(lambda _: seen.append(turn), brief=True) for _ in range(64)]
    others = [asyncio.ensure_future(unit) for unit in units]
    await asyncio.sleep(0)
    have_come.set()
    await asyncio.gather(first, *others)
    await database.close()

    assert len(seen) == 64
    assert len(set(seen)) <= 5  # four, and one more where the first of them did not find the others yet


class Loop(asyncio.SelectorEventLoop):
    """Says when another thread wants something of it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_wanted = threading.Event()

    def call_soon_threadsafe(self, *arguments: Any, **how: Any) -> asyncio.Handle:
        handle = super().call_soon_threadsafe(*arguments, **how)
        self.is_wanted.set()
        return handle


def test_an_event_loop_that_has_ended_holds_up_no_other_writer(tmp_path: Path) -> None:
    url, loop = prepare(tmp_path), Loop()

    async def leave_without_a_word() -> "asyncio.Future[None]":
        database = Database.open(url)
        waiting = asyncio.ensure_future(database.write(lambda _: None, brief=True))
        await asyncio.sleep(0)
        return waiting

    async def write() -> int:
        other = Database.open(url)
        async with asyncio.timeout(20):
            changed = await other.write(lambda c: c.execute(text("UPDATE counter SET n = 1")).rowcount)
        await other.close()
        return changed

    waiting = loop.run_until_complete(leave_without_a_word())
    assert loop.is_wanted.wait(10)
    loop.close()

    assert asyncio.run(write()) == 1
    assert not waiting.done()
