"""counts.db: what was counted and is not known elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostiary.gateway.node.meter.ledger import Count, Ledger
from ostiary.gateway.node.meter.store import CountStore

WORKER = "17.1800000000"
KEY = "api|application|subscription"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "counts.db"


def counted(store: CountStore, hour: int = 500_000, **table: int) -> None:
    ledger = Ledger(store.seen())
    values = {key.replace("_", "|"): Count(calls, 10 * calls) for key, calls in table.items()}
    store.note([ledger.compare(WORKER, values)], (), hour)


def row(calls: int, hour: int = 500_000, **ids: str | None) -> dict[str, object]:
    of = {"api_id": "api", "application_id": "application", "subscription_id": "subscription"} | ids
    return {"hour": hour, **of, "calls": calls, "bytes": 10 * calls}


def test_nothing_counted_is_nothing_to_report(file: Path):
    assert CountStore(file).next_report() is None


def test_what_was_counted_is_reported_in_its_hour(file: Path):
    store = CountStore(file)
    counted(store, 500_000, api_application_subscription=2)
    counted(store, 500_001, api_application_subscription=5)

    report = store.next_report()

    assert report is not None
    assert (report.sequence, report.usage) == (1, [row(2, 500_000), row(3, 500_001)])


def test_who_need_not_say_who_they_are_are_nobody(file: Path):
    store = CountStore(file)
    store.note([Ledger().compare(WORKER, {"api|-|-": Count(1, 10)})], (), 500_000)

    report = store.next_report()

    assert report is not None
    assert report.usage == [row(1, application_id=None, subscription_id=None)]


def test_a_report_is_the_same_until_it_was_taken(file: Path):
    store = CountStore(file)
    counted(store, api_application_subscription=2)
    first = store.next_report()
    counted(store, api_application_subscription=9)
    store.close()

    again = CountStore(file)

    assert first is not None
    assert again.next_report() == first
    again.taken(first.sequence)
    later = again.next_report()
    assert later is not None
    assert (later.stream, later.sequence, later.usage) == (first.stream, 2, [row(7)])
    again.taken(2)
    assert again.next_report() is None


def test_a_report_is_of_bounded_size(file: Path):
    store = CountStore(file)
    store.note([Ledger().compare(WORKER, {f"{n}||": Count(1) for n in range(1500)})], (), 1)
    sizes = []

    while (report := store.next_report()) is not None:
        sizes.append(len(report.usage))
        store.taken(report.sequence)

    assert sizes == [1000, 500]


def test_what_was_seen_survives_a_restart_of_the_agent(file: Path):
    counted(CountStore(file), api_application_subscription=2)

    assert CountStore(file).seen() == {WORKER: {KEY: Count(2, 20)}}


def test_workers_that_ended_are_forgotten_and_their_counts_are_not(file: Path):
    store = CountStore(file)
    counted(store, api_application_subscription=2)
    store.note([], [WORKER], 500_000)

    assert store.seen() == {}
    report = store.next_report()
    assert report is not None
    assert report.usage == [row(2)]


def test_a_damaged_file_is_put_aside_and_a_new_row_of_numbers_begins(file: Path):
    store = CountStore(file)
    counted(store, api_application_subscription=2)
    before = store.next_report()
    store.close()
    file.write_bytes(b"not a database" * 1000)

    again = CountStore(file)
    counted(again, api_application_subscription=2)
    after = again.next_report()

    assert (file.parent / "counts.db.damaged").exists()
    assert before is not None
    assert after is not None
    assert (before.stream != after.stream, after.sequence) == (True, 1)


def test_the_file_is_private(file: Path):
    counted(CountStore(file), api_application_subscription=2)

    assert {one.stat().st_mode & 0o777 for one in file.parent.iterdir()} == {0o600}
