"""Applying organization files: one transaction, idempotent, secrets kept."""

from tests.http.declarative.files import apply, lines, the_example

from ostiary.foundation.database import Database

EVERYTHING = [
    "+ organization my_company",
    "+ user store EXTERNAL",
    "+ plan Tiny",
    "+ role support",
    "+ role clerk",
    "+ user bob",
    "+ scope orders:write",
    "+ api Orders 1.0.0",
    "+ application Mobile",
    "+ client mobile",
    "+ subscription Mobile → Orders 1.0.0",
]


async def test_the_example_applies_and_a_second_time_changes_nothing(database: Database):
    assert lines(await apply(database, the_example())) == EVERYTHING
    assert lines(await apply(database, the_example())) == []
