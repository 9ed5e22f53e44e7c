"""Bounds of what a store may tell of a user."""

import pytest

from ostiary.identity.belonging import MOST_CLAIM_BYTES, bounded
from ostiary.identity.user_stores.contract import UserRecord
from ostiary.identity.user_stores.steps import watched


def test_what_is_within_bounds_is_kept_as_it_is():
    record = UserRecord("1", "ann", frozenset({"sales"}), {"email": "ann@example.com"})

    assert bounded(record) == record


def test_groups_over_the_bound_are_left_out_and_never_invented():
    groups = frozenset({f"g{n:04}" for n in range(1_600)} | {"x" * 256, "a\0b", ""})

    kept = bounded(UserRecord("1", "ann", groups)).groups

    assert kept == {f"g{n:04}" for n in range(1_000)}


def test_claims_over_the_bounds_are_left_out():
    claims = {f"c{n:02}": "v" for n in range(60)} | {"a": "x" * 1_001, "b": "\ud800"}

    assert list(bounded(UserRecord("1", "ann", claims=claims)).claims) == [f"c{n:02}" for n in range(50)]


def test_all_claims_together_are_bounded_in_bytes():
    kept = bounded(UserRecord("1", "ann", claims={f"c{n:02}": "\u00e9" * 1_000 for n in range(40)})).claims

    size = sum(len(f"{name}{value}".encode()) for name, value in kept.items())
    assert MOST_CLAIM_BYTES - 2_003 < size <= MOST_CLAIM_BYTES


@pytest.mark.parametrize("like", ["Sales", "sales ", " sales", "ｓａｌｅｓ", "s\u0061\u0301les"])
def test_of_names_that_look_alike_none_counts(like: str):
    """A name that nobody can tell from another gives nobody what a role gives to one of them."""
    alike = {"sales", like} if like != "s\u0061\u0301les" else {"s\u00e1les", like}

    kept = bounded(UserRecord("1", "ann", frozenset({"staff", *alike})))

    assert (kept.groups, kept.ambiguous_groups) == ({"staff"}, alike)


def test_a_letter_of_another_alphabet_is_another_name():
    """Exact comparison keeps them apart: who has the one has nothing that a role gives to the other."""
    groups = frozenset({"sales", "s\u0430les"})

    assert bounded(UserRecord("1", "ann", groups)).groups == groups


def test_what_a_directory_calls_ambiguous_is_told_without_what_nobody_could_read():
    record = UserRecord("1", "ann", ambiguous_groups=frozenset({"sales", "\ud800", "a\0b"}))

    with watched() as steps:
        kept = bounded(record)

    assert (kept.ambiguous_groups, [step.facts for step in steps.found]) == (
        {"sales"},
        [{"groups": ["sales"]}],
    )
