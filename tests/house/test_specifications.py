"""Every specification the code cites is in `docs/specifications.md`, with its modules and its tests."""

import re

import pytest
from tests.house.repository_files import DOCS, ROOT, cited_in, here, sources

PAGE = DOCS / "specifications.md"
ROWS = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and cited_in(line)]
LISTED = {spec: row for row in ROWS for spec in cited_in(row.split("|")[1])}


def test_every_cited_specification_is_listed():
    missing = {
        f"{spec} (cited in {here(path)})"
        for path in sources()
        for spec in cited_in(path.read_text()) - LISTED.keys()
    }
    assert missing == set()


@pytest.mark.parametrize("spec", sorted(LISTED))
def test_what_the_page_calls_implemented_is_cited_where_it_says(spec: str):
    """A row that names modules names ones that cite the specification."""
    named = [
        ROOT / "src/ostiary" / path
        for path in re.findall(r"`((?!tests/)[a-z_/]+\.(?:py|lua))`", LISTED[spec])
    ]
    wrong = [here(path) for path in named if not path.exists() or spec not in cited_in(path.read_text())]
    assert wrong == []


@pytest.mark.parametrize("spec", sorted(LISTED))
def test_the_tests_a_row_names_exist(spec: str):
    named = re.findall(r"`(tests/[^`]+)`", LISTED[spec])
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_cited_decision_record_exists():
    """`ADR 0003` in a docstring leads to `docs/adr/0003-….md`."""
    cited = {
        (number, here(path))
        for path in sources()
        for number in re.findall(r"\bADR (\d{4})\b", path.read_text())
    }
    existing = {path.name[:4] for path in (DOCS / "adr").glob("[0-9]*.md")}
    assert {entry for entry in cited if entry[0] not in existing} == set()
