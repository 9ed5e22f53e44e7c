"""Modules are small, named after what they hold, explained in a line, and finished."""

import ast
import re
from pathlib import Path

import pytest
from tests.house.repository_files import ROOT, documents, here, modules, sources, suite_modules

MODULE_WALL = 400
FUNCTION_WALL = 50
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base"}
UNFINISHED = re.compile(r"\b(?:TOD[O]|FIXM[E]|XX[X]|HAC[K])\b")  # written so that they do not find themselves
OF_THE_WORKPLACE = re.compile(
    r"(?<![\w./-])/wor[k]/|/tmp/tea[m]|\bissue\s+#?\d|\bsub-?agen[t]|\bthis sessio[n]\b"
    r"|Anthropi[c]|\bClaud[e]\b",
    re.IGNORECASE,
)
OURS = sorted(
    {
        *sources(),
        *suite_modules(),
        *documents(),
        *(path for path in (ROOT / "examples").rglob("*") if path.suffix in {".py", ".yaml", ".sh"}),
        *(ROOT / name for name in ("Makefile", "pyproject.toml", ".ci/run")),
    }
)


def _written_by_hand(path: Path) -> bool:
    """A migration is written by a tool, once, and read top to bottom if at all."""
    return path.parent.name != "versions"


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_every_module_says_what_it_is():
    assert [here(path) for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_no_module_is_longer_than_the_wall():
    long = {
        here(path): _lines(path)
        for path in filter(_written_by_hand, OURS)
        if path.suffix in {".py", ".lua"} and _lines(path) > MODULE_WALL
    }
    assert long == {}


def test_no_function_is_longer_than_the_wall():
    """The docstring does not count: it may say what has to be said."""
    long = {}
    for path in filter(_written_by_hand, modules()):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                if (length := (node.end_lineno or 0) - first.lineno + 1) > FUNCTION_WALL:
                    long[f"{here(path)}:{node.name}"] = length
    assert long == {}


def test_places_are_named_after_what_is_in_them():
    vague = [here(path) for path in modules() if NAMES_THAT_SAY_NOTHING & {*path.parts, path.stem}]
    assert vague == []


@pytest.mark.parametrize("pattern", [UNFINISHED, OF_THE_WORKPLACE], ids=["unfinished", "workplace"])
def test_nothing_is_left_lying_about(pattern: re.Pattern[str]):
    """What is missing is written in the CHANGELOG or not at all; how it was made is nobody's concern."""
    found = {
        f"{here(path)}: {match.group(0).strip()}"
        for path in OURS
        if path.exists()
        for match in [pattern.search(path.read_text())]
        if match
    }
    assert found == set()


def test_public_functions_and_classes_say_what_they_do():
    """Endpoints, commands and use cases alike; names that start with `_` are their module's own matter."""
    silent = [
        f"{here(path)}: {node.name}"
        for path in modules()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


@pytest.mark.parametrize("path", [p for p in suite_modules() if p.name.startswith("test_")], ids=here)
def test_the_name_of_a_test_is_a_sentence(path: Path):
    """At least three words: `test_a_code_is_redeemed_once`."""
    short = [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and node.name.count("_") < 3
    ]
    assert short == []
