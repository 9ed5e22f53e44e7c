"""The SQLite writer: groups, failing commits, several processes."""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

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
