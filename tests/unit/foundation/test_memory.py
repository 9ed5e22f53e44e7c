"""What was read is remembered until somebody commits, and never more of it than fits."""

import asyncio
import sqlite3
from pathlib import Path

from ostiary.foundation import memory
from ostiary.foundation.memory import NOTHING, Memory


def a_database(folder: Path) -> tuple[str, sqlite3.Connection]:
    path = str(folder / "some.db")
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE things (name TEXT)")
    return path, writer


async def test_a_commit_forgets_everything(tmp_path: Path) -> None:
    path, writer = a_database(tmp_path)
    known = Memory(path)
    known.keep("question", "answer", known.version())
    before = known.find("question")
    writer.execute("INSERT INTO things VALUES ('one')")
    await asyncio.sleep(0)
    known.version()

    assert (before, known.find("question")) == ("answer", NOTHING)


async def test_whoever_comes_after_a_commit_is_never_told_what_was_before(tmp_path: Path) -> None:
    """Many in one turn of the loop ask once; what arrives after the question is in a later turn."""
    path, writer = a_database(tmp_path)
    known, told = Memory(path), []

    async def somebody(number: int) -> None:
        version = known.version()
        if known.find("question") is NOTHING:
            known.keep("question", number, version)
        told.append(known.find("question"))

    for number in range(3):
        writer.execute("INSERT INTO things VALUES ('one')")
        await asyncio.gather(*(somebody(number) for _ in range(4)))

    assert told == [0] * 4 + [1] * 4 + [2] * 4


async def test_what_was_read_while_somebody_committed_is_not_kept(tmp_path: Path) -> None:
    path, writer = a_database(tmp_path)
    known = Memory(path)
    asked_at = known.version()
    writer.execute("INSERT INTO things VALUES ('one')")
    await asyncio.sleep(0)
    known.version()
    known.keep("question", "of before", asked_at)

    assert known.find("question") is NOTHING


async def test_made_up_questions_take_no_memory(tmp_path: Path) -> None:
    path, _ = a_database(tmp_path)
    known = Memory(path)
    version = known.version()
    for number in range(memory.AT_MOST + 1):
        known.keep(number, "answer", version)

    assert [known.find(0), known.find(memory.AT_MOST)] == [NOTHING, "answer"]
