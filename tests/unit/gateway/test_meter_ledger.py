"""What was counted between two looks at a table."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ostiary.gateway.node.meter.ledger import Count, Ledger, gain

WORKER = "17.1800000000"


def gained(ledger: Ledger, **table: int) -> dict[str, int]:
    reading = ledger.compare(WORKER, {key: Count(calls) for key, calls in table.items()})
    ledger.accept(reading)
    return {key: count.calls for key, count in reading.gained.items()}


def test_the_first_look_gains_everything():
    assert gained(Ledger(), a=3, b=1) == {"a": 3, "b": 1}


def test_a_later_look_gains_the_difference():
    ledger = Ledger()
    gained(ledger, a=3, b=1)

    assert gained(ledger, a=5, b=1) == {"a": 2}


def test_a_lower_value_means_that_the_entry_began_again():
    ledger = Ledger()
    gained(ledger, a=7)

    assert gained(ledger, a=2) == {"a": 2}


def test_an_entry_that_was_gone_begins_again():
    ledger = Ledger()
    gained(ledger, a=7)
    gained(ledger)

    assert gained(ledger, a=9) == {"a": 9}


def test_nothing_is_remembered_before_it_is_safe():
    ledger = Ledger()
    first = ledger.compare(WORKER, {"a": Count(4)})

    assert ledger.compare(WORKER, {"a": Count(4)}) == first


def test_workers_count_apart():
    ledger = Ledger({WORKER: {"a": Count(5)}})

    assert ledger.compare("18.1800000000", {"a": Count(5)}).gained == {"a": Count(5)}


def test_what_was_seen_before_a_restart_is_not_gained_again():
    assert Ledger({WORKER: {"a": Count(5, 50)}}).compare(WORKER, {"a": Count(5, 50)}).is_empty


def test_bytes_may_come_after_their_call():
    """HAProxy adds the bytes of an answer when it has been sent."""
    assert gain(Count(3, 100), Count(3, 900)) == Count(0, 800)


@given(st.lists(st.integers(0, 5), max_size=20))
def test_gains_add_up_to_what_was_counted(steps: list[int]):
    """However often it is looked at, and whatever order the steps have."""
    ledger, table, total = Ledger(), 0, 0
    for step in steps:
        table += step
        total += gained(ledger, a=table).get("a", 0)

    assert total == sum(steps)
