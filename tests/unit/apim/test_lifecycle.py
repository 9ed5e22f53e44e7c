"""The life cycle, exhaustively: every pair of states."""

import itertools

import pytest

from ostiary.apim import CALLABLE, SUBSCRIBABLE, LifecycleState, TransitionRefused, step, walk

C, P, U, B, D, R = LifecycleState
STEPS = {(C, P), (C, U), (P, C), (P, U), (U, B), (U, P), (U, C), (U, D), (B, U), (B, D), (D, R)}
PAIRS = [(a, b) for a in LifecycleState for b in LifecycleState]


@pytest.mark.parametrize(("current", "wanted"), PAIRS)
def test_one_step_leads_exactly_where_the_table_says(current: LifecycleState, wanted: LifecycleState):
    if current is wanted or (current, wanted) in STEPS:
        assert step(current, wanted) is wanted
    else:
        with pytest.raises(TransitionRefused):
            step(current, wanted)


@pytest.mark.parametrize(("current", "wanted"), PAIRS)
def test_a_walk_is_made_of_steps_and_ends_where_it_should(current: LifecycleState, wanted: LifecycleState):
    final = current in (D, R) and wanted not in (current, R)
    if final:
        with pytest.raises(TransitionRefused):
            walk(current, wanted)
        return
    way = (current, *walk(current, wanted))
    assert way[-1] is wanted
    assert all(pair in STEPS for pair in itertools.pairwise(way))


def test_who_can_be_called_and_who_can_be_subscribed_to():
    assert {P, U, B, D} == CALLABLE
    assert {P, U} == SUBSCRIBABLE
