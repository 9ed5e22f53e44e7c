"""The benchmarks' own arithmetic: a verdict never flatters, and nobody always goes first."""

from benchmarks.measuring import rounds
from benchmarks.summary import judge


def test_a_missed_budget_says_by_how_much():
    assert judge(3.3, 2.2) == "MISSED: 1.50 × the budget"
    assert judge(1_000, 4_000, at_least=True) == "MISSED: 4.00 × the budget"


def test_what_keeps_to_its_budget_is_met():
    assert judge(2.2, 2.2) == "met"
    assert judge(4_000, 4_000, at_least=True) == "met"


def test_each_round_begins_with_another_contestant():
    order: list[str] = []

    rounds({name: lambda name=name: order.append(name) for name in "abc"}, 3)

    assert order == [*"abc", *"bca", *"cab"]
