"""A node whose disk is full or damaged: it goes on, says so, and what is on disk stays consistent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.gateway.builders import NOW, a_gateway_plan

from ostiary.gateway.haproxy import MapEntry
from ostiary.gateway.node import keys
from ostiary.gateway.node.disk import Disk
from ostiary.gateway.node.store import NodeStore
from ostiary.gateway.node.structure import Structure
from ostiary.gateway.plan import Entry, PlanAnswer

PLAN = a_gateway_plan()


async def copied(disk: Disk) -> None:
    await disk.stage(PLAN.entries(), first=True)
    await disk.adopt(PLAN.number, NOW)


def revoked(number: int, size: int = 300) -> PlanAnswer:
    """A change that needs new pages."""
    more = (Entry("revocation", f"token:{number}-{one}", {"expires_at": 2**40}) for one in range(size))
    return PlanAnswer(number, False, (Entry("revocation", f"token:{number}", {"expires_at": 2**40}), *more))


def fill_up(disk: Disk) -> None:
    """Nothing can be written any more."""
    connection = disk._store._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    disk._structure._folder = Path("/dev/full/maps")
    disk._keys_file = Path("/dev/full/keys.json")


def make_room(disk: Disk, folder: Path) -> None:
    disk._store._connection.execute("PRAGMA max_page_count = 1000000")
    disk._structure._folder = folder / "maps"
    disk._keys_file = folder / "keys.json"


def damage(disk: Disk) -> None:
    """What is read from now on finds that the file is none of SQLite."""
    connection = disk._store._connection
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("PRAGMA shrink_memory")  # what it knows of the file
    file = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    file.write_bytes(b"\xff" * file.stat().st_size)


def a_disk(folder: Path) -> tuple[Disk, Structure]:
    structure = Structure(folder / "maps")
    return Disk(folder, structure), structure


async def test_what_cannot_be_written_waits_and_is_written_when_there_is_room(tmp_path: Path):
    disk, structure = a_disk(tmp_path)
    await copied(disk)
    assert disk.write_maps()
    fill_up(disk)

    await disk.keep(revoked(8), 7, NOW)
    await disk.keep(revoked(9), 8, NOW)
    structure.change([MapEntry("epochs-00.map", "o:client:x", "5")])
    assert not disk.write_maps()
    assert not disk.keep_keys(keys.KeyRing())

    assert disk.is_failing
    assert disk.stored_number == 7
    assert not disk.is_behind(9)  # nothing is lost: it waits
    make_room(disk, tmp_path)
    await disk.write_plan()
    assert disk.write_maps()
    assert disk.keep_keys(keys.KeyRing())
    assert not disk.is_failing
    assert disk.stored_number == 9
    assert (tmp_path / "maps" / "epochs-00.map").read_text() == "o:client:x 5\n"
    disk.close()
    assert set(NodeStore(tmp_path / "node.db").load().revocations) >= {"token:8", "token:9"}


async def test_a_node_killed_while_its_disk_is_full_knows_how_far_its_plan_goes(tmp_path: Path):
    """A change that could not be written must not be hidden by a later one that could."""
    disk, _ = a_disk(tmp_path)
    await copied(disk)
    fill_up(disk)
    await disk.keep(revoked(8), 7, NOW)

    again = NodeStore(tmp_path / "node.db")  # as after a kill: nothing was closed

    assert again.load().number == 7


async def test_a_change_that_does_not_follow_is_asked_for_again(tmp_path: Path):
    disk, _ = a_disk(tmp_path)
    await copied(disk)

    await disk.keep(revoked(9), 8, NOW)

    assert disk.stored_number == 7
    assert disk.is_behind(9)


async def test_a_copy_that_could_not_be_written_is_asked_for_again_and_nothing_is_added_to_the_old_one(
    tmp_path: Path,
):
    disk, _ = a_disk(tmp_path)
    await copied(disk)
    fill_up(disk)
    await disk.stage(revoked(3).entries, first=True)
    make_room(disk, tmp_path)
    await disk.stage(revoked(4).entries, first=False)

    await disk.adopt(4, NOW)  # of another history: a backup was restored
    await disk.keep(revoked(8), 7, NOW)

    assert (disk.stored_number, disk.is_behind(4)) == (0, True)
    assert NodeStore(tmp_path / "node.db").load() == PLAN


@pytest.mark.parametrize("found_by", ["the copy", "a change"])
async def test_half_a_copy_whose_file_was_damaged_meanwhile_is_no_plan(tmp_path: Path, found_by: str):
    """The file is begun again, without what was written aside before."""
    disk, _ = a_disk(tmp_path)
    await copied(disk)
    half = len(PLAN.entries()) // 2
    await disk.stage(PLAN.entries()[:half], first=True)
    damage(disk)
    if found_by == "a change":
        await disk.keep(revoked(8), 7, NOW)

    await disk.stage(PLAN.entries()[half:], first=False)
    await disk.stage([], first=False)
    await disk.adopt(8, NOW)

    assert (disk.stored_number, disk.is_behind(8)) == (0, True)
    assert NodeStore(tmp_path / "node.db").load().number == 0
    await copied(disk)
    assert disk.stored_number == 7
    assert NodeStore(tmp_path / "node.db").load() == PLAN


async def test_more_than_memory_is_for_is_asked_for_again(tmp_path: Path):
    disk, _ = a_disk(tmp_path)
    await copied(disk)
    fill_up(disk)

    many = PlanAnswer(8, False, revoked(8, 60_000).entries)
    await disk.keep(many, 7, NOW)
    make_room(disk, tmp_path)

    assert disk.is_behind(8)


def test_a_full_disk_is_no_reason_to_throw_the_last_plan_away(tmp_path: Path):
    store = NodeStore(tmp_path / "node.db")
    store.stage(PLAN.entries(), first=True)
    store.adopt(7, NOW)
    store.close()
    script = (
        "import resource, signal, sys; from pathlib import Path; "
        "from ostiary.gateway.node.store import NodeStore; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
        "print(NodeStore(Path(sys.argv[1])).load().number)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "node.db")], capture_output=True, text=True, check=False
    )

    assert done.stdout.split()[-1:] == ["7"], done.stderr
    assert NodeStore(tmp_path / "node.db").load().number == 7
