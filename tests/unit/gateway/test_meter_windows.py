"""What of a limit is used up where HAProxy's current worker cannot see it."""

from __future__ import annotations

from ostiary.gateway.haproxy import MapEntry, others_entry, others_mode
from ostiary.gateway.node.meter.windows import Kept, Windows, current_windows, is_current

NOW = 1_800_000_000.0
DAY, MINUTE = f"s|{int(NOW) // 86400}", f"s|{int(NOW) // 60}"
LATER = NOW + 86400


def windows(worker: str = "", of: tuple[int, int] | None = None) -> Windows:
    return Windows(Kept(worker, {} if of is None else {DAY: of}))


def test_what_the_worker_sees_itself_is_not_told_to_it():
    ours = windows()
    ours.read("1", {DAY: 5}, NOW, succeeds=False)

    assert ours.changes() == []
    assert ours.totals() == {DAY: 5}


def test_what_was_counted_before_a_crash_is_told_to_the_next_worker():
    ours = windows()
    ours.read("1", {DAY: 5}, NOW, succeeds=False)
    ours.read("2", {}, NOW, succeeds=False)

    assert ours.changes() == [others_entry(DAY, 5, 0), others_mode(0)]
    ours.read("2", {DAY: 2}, NOW, succeeds=False)
    assert ours.totals() == {DAY: 7}


def test_two_crashes_are_added():
    ours = windows()
    for worker in ("1", "2", "3"):
        ours.read(worker, {}, NOW, succeeds=False)
        ours.read(worker, {DAY: 5}, NOW, succeeds=False)

    assert ours.totals() == {DAY: 15}


def test_what_was_kept_on_disk_survives_both():
    ours = windows("1", of=(5, 2))
    ours.read("2", {}, NOW, succeeds=False)

    assert ours.totals() == {DAY: 7}


def test_an_agent_started_again_beside_the_same_worker_takes_up_where_it_was():
    ours = windows("1", of=(5, 2))
    ours.read("1", {DAY: 8}, NOW, succeeds=False)

    assert ours.totals() == {DAY: 10}


def test_what_a_worker_was_taught_over_a_reload_is_not_counted_twice():
    ours = windows()
    ours.read("1", {DAY: 5}, NOW, succeeds=False)
    ours.read("2", {}, NOW, succeeds=True)  # not taught yet
    ours.read("2", {DAY: 6}, NOW, succeeds=True)

    assert ours.totals() == {DAY: 6}
    assert ours.changes() == []


def test_what_a_worker_was_not_taught_over_a_reload_is_told_to_it():
    """HAProxy's own way needs a worker that has run for five seconds."""
    ours = windows()
    ours.read("1", {DAY: 5}, NOW, succeeds=False)
    ours.read("2", {}, NOW, succeeds=True)
    ours.read("2", {DAY: 1}, NOW, succeeds=True)

    assert ours.totals() == {DAY: 5}


def test_what_a_worker_forgot_while_the_window_is_open_is_told_to_it():
    ours = windows()
    ours.read("1", {DAY: 5}, NOW, succeeds=False)
    ours.read("1", {}, NOW, succeeds=False)
    ours.read("1", {DAY: 1}, NOW, succeeds=False)

    assert ours.totals() == {DAY: 6}


def test_others_are_told_and_go_with_their_window():
    ours = windows()
    ours.hear({DAY: 4, MINUTE: 3}, NOW)

    assert set(ours.changes()) == {others_entry(DAY, 4, 0), others_entry(MINUTE, 3, 0), others_mode(0)}
    assert (DAY, "4/0") in ours.content(others_entry(DAY, 4, 0).map)
    ours.read("1", {}, LATER, succeeds=False)
    assert {(one.key, one.value) for one in ours.changes()} == {(DAY, None), (MINUTE, None), ("mode", None)}


def test_a_share_is_of_what_was_left():
    ours = windows()
    ours.read("1", {DAY: 5}, NOW, succeeds=False)
    ours.hear({DAY: 4}, NOW)
    ours.changes()
    ours.share(2)

    assert ours.changes() == [others_entry(DAY, 4, 5), others_mode(2)]
    ours.hear({DAY: 6}, NOW)
    assert ours.changes() == [others_entry(DAY, 6, 0), others_mode(0)]


def test_a_share_does_not_grow_as_it_is_used_up():
    ours = windows()
    ours.share(2)
    ours.changes()
    ours.read("1", {DAY: 5}, NOW, succeeds=False)
    ours.share(2)

    assert ours.changes() == []


def test_a_crash_leaves_what_was_left_of_a_share():
    """Four were counted when the share began, and one of the share before the crash."""
    ours = windows()
    ours.read("1", {DAY: 4}, NOW, succeeds=False)
    ours.share(2)
    ours.read("1", {DAY: 5}, NOW, succeeds=False)
    ours.read("2", {}, NOW, succeeds=False)

    assert ours.changes() == [others_entry(DAY, 5, -1), others_mode(2)]


def test_one_node_alone_shares_with_nobody():
    ours = windows()
    ours.share(1)

    assert ours.changes() == []


def test_a_changed_count_is_one_change():
    ours = windows()
    ours.hear({DAY: 4}, NOW)
    ours.changes()
    ours.hear({DAY: 5}, NOW)

    assert ours.changes() == [MapEntry(others_entry(DAY, 5, 0).map, DAY, "5/0")]


def test_windows_are_those_of_the_clock():
    live = current_windows(NOW)

    assert is_current("a|" + str(2027 * 12), live)
    assert not is_current("a|1", live)
    assert not is_current("mode", live)
