"""The permission matrix and every declaration: the guard decides as the file says, and no mutant lives."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from tests.http.permissions.matrix import BELOW, Row, complaints, rows

from ostiary.app import operations
from ostiary.permissions import GATEWAY_NODE, LOGGED_IN, NEW_GATEWAY_NODE, NODES, OPEN, Access, Audience

Operations = Mapping[tuple[str, str], Access]


@pytest.fixture(scope="module")
def declared() -> Operations:
    """Every operation of the real app with its access."""
    return {
        (method, above + route.path): route.access
        for route in operations()
        for above in ("", BELOW)[: 1 + route.per_organization]
        for method in sorted(route.methods or ())
    }


@pytest.fixture(scope="module")
def matrix() -> list[Row]:
    return rows()


def test_every_operation_has_one_row_and_every_row_an_operation(declared: Operations, matrix: list[Row]):
    counted = Counter((row.method, row.path) for row in matrix)

    assert sorted(counted - Counter(declared.keys())) == [], (
        "a row without an operation, or a second row of one"
    )
    assert sorted(Counter(declared.keys()) - counted) == [], (
        "an operation without a row: write it in matrix.yaml"
    )


def test_every_permission_in_the_matrix_is_in_the_tree(matrix: list[Row]):
    assert {one for row in matrix for one in row.permissions} <= NODES


async def test_who_passes_is_what_the_matrix_says(declared: Operations, matrix: list[Row]):
    found = [text for row in matrix for text in await complaints(row, declared[row.method, row.path])]

    assert found == []


def mutants(access: Access) -> Iterator[tuple[str, Access]]:
    """An access with one thing wrong."""
    others = {"open": OPEN, "any user": LOGGED_IN, "node": GATEWAY_NODE, "new node": NEW_GATEWAY_NODE}
    yield from ((name, other) for name, other in others.items() if other != access)
    yield "any user without a scope", Access(Audience.USER)
    if access.audience is Audience.PERMITTED:
        yield "no permission and no scope", Access(Audience.PERMITTED)
    for one in access.permissions:
        yield f"without {one}", replace(access, permissions=access.permissions - {one})
        wider = one.rpartition("/")[0]
        yield f"with {wider} for {one}", replace(access, permissions=access.permissions - {one} | {wider})
    for one in access.scopes:
        yield f"without {one}", replace(access, scopes=access.scopes - {one})


async def test_a_declaration_that_is_removed_or_changed_is_noticed(declared: Operations, matrix: list[Row]):
    """Each operation in turn with each of its mutants: a matrix that any of them passes checks nothing."""
    survivors = [
        f"{row.method} {row.path}: {name}"
        for row in matrix
        for name, mutant in mutants(declared[row.method, row.path])
        if not await complaints(row, mutant)
    ]

    assert survivors == []
