"""What was read is remembered until somebody commits, and never more of it than fits."""

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


def test_a_commit_forgets_everything(tmp_path: Path) -> None:
    path, writer = a_database(tmp_path)
    known = Memory(path)
    known.keep("question", "answer", known.version())
    before = known.find("question")
    writer.execute("INSERT INTO things VALUES ('one')")
    known.version()

    assert (before, known.find("question")) == ("answer", NOTHING)


def test_what_was_read_while_somebody_committed_is_not_kept(tmp_path: Path) -> None:
    path, writer = a_database(tmp_path)
    known = Memory(path)
    asked_at = known.version()
    writer.execute("INSERT INTO things VALUES ('one')")
    known.version()
    known.keep("question", "of before", asked_at)

    assert known.find("question") is NOTHING


def test_made_up_questions_take_no_memory(tmp_path: Path) -> None:
    path, _ = a_database(tmp_path)
    known = Memory(path)
    version = known.version()
    for number in range(memory.AT_MOST + 1):
        known.keep(number, "answer", version)

    assert [known.find(0), known.find(memory.AT_MOST)] == [NOTHING, "answer"]
