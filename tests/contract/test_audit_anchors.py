"""Attacks on the end of the audit log by somebody who has the database alone: anchors outside of it tell."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete
from tests.contract.test_audit import BOX, HOUR, NOW, ORG, OTHER, _rewrite, noted

from ostiary.foundation.audit import (
    Anchor,
    AnchorFile,
    drop_older,
    latest,
    sign_checkpoints,
    still_there,
    verify_chain,
)
from ostiary.foundation.audit.checkpoints import HEAD
from ostiary.foundation.audit.tables import audit_checkpoints, audit_log
from ostiary.foundation.database import Database

MINUTE = timedelta(minutes=1)


@pytest.fixture
def file(tmp_path: Path) -> AnchorFile:
    return AnchorFile(tmp_path / "anchors")


async def anchored(database: Database, file: AnchorFile, at: datetime) -> Anchor:
    """Note the end of the chain."""
    sequence, hash = await database.read(
        lambda c: tuple(c.execute(HEAD, {"organization_id": ORG}).one())  # type: ignore[arg-type]
    )
    anchor = Anchor(ORG, sequence, hash, at)
    file.add([anchor])
    return anchor


async def problem(database: Database, file: AnchorFile) -> str | None:
    known = file.read()
    verdict = await database.read(lambda c: verify_chain(c, BOX, ORG, known))
    return verdict.problem


def cut(after: int) -> Callable[[Connection], object]:
    """Remove the end of the chain, and the checkpoints that say that it was there."""
    return lambda c: (
        c.execute(delete(audit_log).where(audit_log.c.sequence > after)),
        c.execute(delete(audit_checkpoints).where(audit_checkpoints.c.sequence > after)),
    )


async def test_a_tail_that_was_cut_off_is_missed_and_it_is_said_since_when(
    database: Database, file: AnchorFile
) -> None:
    await noted(database, 3)
    await anchored(database, file, NOW)
    await noted(database, 3)
    await database.write(lambda c: sign_checkpoints(c, BOX, NOW, HOUR))
    await anchored(database, file, NOW + MINUTE)
    assert await problem(database, file) is None

    await database.write(cut(after=4))

    assert await problem(database, file) == (
        "records 5 to 6 are missing: record 6 was there at 2027-01-01T00:01:00+00:00; "
        "up to record 3, of 2027-01-01T00:00:00+00:00, all is there"
    )


async def test_a_chain_that_grew_again_after_it_was_cut_does_not_hide_it(
    database: Database, file: AnchorFile
) -> None:
    await noted(database, 3)
    await anchored(database, file, NOW)
    await noted(database, 3)
    anchor = await anchored(database, file, NOW + MINUTE)

    await database.write(cut(after=4))
    await noted(database, 5)

    assert await problem(database, file) == (
        "record 6 is not the one that was there at 2027-01-01T00:01:00+00:00; "
        "up to record 3, of 2027-01-01T00:00:00+00:00, all is there"
    )
    assert not await database.read(lambda c: still_there(c, BOX, anchor))


async def test_a_tail_that_was_written_anew_is_seen(database: Database, file: AnchorFile) -> None:
    """Hashes need no key: without anchors the end could be altered and hashed again."""
    await noted(database, 3)
    await anchored(database, file, NOW)

    await database.write(lambda c: _rewrite(c, 3))

    assert await problem(database, file) == (
        "record 3 is not the one that was there at 2027-01-01T00:00:00+00:00; "
        "no anchor before it tells since when"
    )


async def test_a_chain_of_which_nothing_is_left_is_missed(database: Database, file: AnchorFile) -> None:
    await noted(database, 3)
    await anchored(database, file, NOW)

    await database.write(cut(after=0))

    assert "records 1 to 3 are missing" in str(await problem(database, file))


async def test_what_retention_drops_is_not_missed_and_what_claims_to_be_it_is(
    database: Database, file: AnchorFile
) -> None:
    await noted(database, 3)
    anchor = await anchored(database, file, NOW)
    await database.write(lambda c: sign_checkpoints(c, BOX, NOW, HOUR))
    await database.write(lambda c: drop_older(c, BOX, NOW))

    assert await problem(database, file) is None
    assert await database.read(lambda c: still_there(c, BOX, anchor))

    await database.write(lambda c: c.execute(audit_checkpoints.update().values(signature="AAAA")))
    assert not await database.read(lambda c: still_there(c, BOX, anchor))


def test_the_file_is_private_and_keeps_the_last_anchor_of_each_when_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "anchors"
    file = AnchorFile(path, largest=2_000)
    file.add([Anchor(OTHER, 1, "0" * 64, NOW)])
    for number in range(1, 101):
        file.add([Anchor(ORG, number, "0" * 64, NOW.astimezone(UTC))])

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size < 2_200
    assert {one: anchor.sequence for one, anchor in latest(file.read()).items()} == {ORG: 100, OTHER: 1}
    assert len(file.read()) > 5


def test_what_is_no_anchor_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "anchors"
    anchor = Anchor(ORG, 7, "0" * 64, NOW)
    path.write_bytes(
        b'\n{}\n[]\nnull\n{"organization": 1}\n' + anchor.line() + b'{"organization": "o-1", "seq'
    )

    assert AnchorFile(path).read() == [anchor]
    assert AnchorFile(tmp_path / "nothing").read() == []
