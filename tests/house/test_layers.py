"""Imports go down one stack; a slice is used through its package; endpoints are wired by `app` alone."""

import ast
import re
from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports
from tests.house.repository_files import ROOT, SOURCE, here, modules

FREE = {"app", "migrations"}
"""The composition root knows every class; migrations know every table."""
OPEN_TO_ALL = {"foundation"}
"""Not a slice but a shelf: its modules are imported one by one."""


def _imported(path: Path) -> list[str]:
    """Every module an `import` of the file names, those inside functions too."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.append(node.module)
            names += [
                f"{node.module}.{alias.name}" for alias in node.names if _is_module(node.module, alias.name)
            ]
    return [name for name in names if name.startswith("ostiary.")]


def _is_module(package: str, name: str) -> bool:
    place = SOURCE.parent / package.replace(".", "/") / name
    return place.is_dir() or place.with_suffix(".py").exists()


def _slice(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def test_imports_go_down_one_stack(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == EXIT_STATUS_SUCCESS


def test_another_slice_is_used_through_its_package():
    """`from ostiary.oauth import Client`, never `from ostiary.oauth.clients import Client`."""
    past_the_door = [
        f"{here(path)} imports {name}"
        for path in modules()
        if _slice(path) not in FREE
        for name in _imported(path)
        if (parts := name.split("."))[1] not in OPEN_TO_ALL | {_slice(path)} and len(parts) > 2
    ]
    assert past_the_door == []


def test_endpoints_are_imported_by_the_composition_root_alone():
    outside = [
        f"{here(path)} imports {name}"
        for path in modules()
        if _slice(path) not in FREE and "endpoints" not in path.parts
        for name in _imported(path)
        if "endpoints" in name.split(".")
    ]
    assert outside == []


def test_no_relative_imports():
    """One name for each module, so that a search finds every use."""
    relative = [here(path) for path in modules() if re.search(r"^\s*from \.", path.read_text(), re.M)]
    assert relative == []
