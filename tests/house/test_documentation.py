"""What the pages promise exists: files, anchors, make targets, commands and their options."""

import re
import shlex
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.house.repository_files import DOCS, ROOT, documents, here

README = ROOT / "README.md"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"`((?:src|tests|docs|examples|deploy|\.ci)/[\w./*<>-]+)`")
SLICE_PLACE = re.compile(
    r"`((?:cli|app|declarative|gateway|apim|oauth|identity|permissions|organizations|foundation)/[\w./-]*)`"
)


def _anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as code forges make them."""
    text = BLOCK.sub("", path.read_text())
    headings = re.findall(r"^#+ +(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _shell_lines(path: Path) -> list[str]:
    """The commands in the shell blocks of a page, continued lines joined, comments left out."""
    lines: list[str] = []
    for match in BLOCK.finditer(path.read_text()):
        if match["language"] in {"sh", "bash", "shell", "console"}:
            joined = re.sub(r"\\\n\s*", " ", match["text"])
            lines += [line.strip().removeprefix("$ ") for line in joined.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _command_lines(path: Path) -> list[list[str]]:
    """Every `ostiary …` of a page, in shell blocks and in the running text."""
    text = BLOCK.sub("", path.read_text())
    quoted = re.findall(r"`((?:\.venv/bin/)?ostiary(?: [^`]+)?)`", text)
    found = [part for line in [*_shell_lines(path), *quoted] for part in re.split(r"[|;&]+\s*|\$\(", line)]
    split = [shlex.split(line.replace("…", " "), comments=True) for line in found if "ostiary" in line]
    commands = [list(dropwhile(lambda word: "=" in word, words)) for words in split]
    return [words for words in commands if words and Path(words[0]).name == "ostiary"]


@pytest.mark.parametrize("page", documents(), ids=here)
def test_links_between_pages_lead_somewhere(page: Path):
    broken = []
    for target in LINK.findall(BLOCK.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        if not place.exists() or (anchor and anchor not in _anchors(place)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", documents(), ids=here)
def test_places_a_page_names_exist(page: Path):
    """Full paths, and paths inside `src/ostiary`; `<name>` stands for a name you choose."""
    text = BLOCK.sub("", page.read_text())
    full = [
        place for place in PLACE.findall(text) if "<" not in place and not any(ROOT.glob(place.rstrip("/")))
    ]
    short = [place for place in SLICE_PLACE.findall(text) if not (ROOT / "src/ostiary" / place).exists()]
    assert [*full, *short] == []


@pytest.mark.parametrize("page", documents(), ids=here)
def test_make_targets_a_page_names_exist(page: Path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", page.read_text()))
    named |= {match[1] for line in _shell_lines(page) if (match := re.match(r"make ([a-z-]+)", line))}
    assert named - targets == set()


@pytest.mark.parametrize("page", [p for p in documents() if p.name != "CHANGELOG.md"], ids=here)
def test_commands_a_page_names_exist(page: Path):
    """Commands, subcommands and options, checked against the command line itself."""
    from ostiary.cli import app

    root = typer.main.get_command(app)
    assert [" ".join(words) for words in _command_lines(page) if not _is_understood(root, words[1:])] == []


def _is_understood(command: Any, words: list[str]) -> bool:
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        found = command.commands.get(words[0])
        if found is None:
            return False
        command, words = found, words[1:]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    named = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
    return named <= options | {"-h", "--help"}


def test_the_command_that_tests_is_the_one_the_readme_shows():
    """`.ci/run` runs what a person is told to run, then the checks."""
    shown = [line.partition("#")[0].strip() for line in _shell_lines(README)]
    assert "make demo" in shown
    assert "make test" in shown
    run = [line.strip() for line in (ROOT / ".ci/run").read_text().splitlines()]
    assert [line for line in run if line.startswith("make ")] == ["make test", "make check"]


@pytest.mark.parametrize("page", ["settings", "endpoints"])
def test_a_generated_page_is_current(page: str):
    """Made from the settings and the routes themselves: `make docs` writes it again."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("generate_reference", DOCS / "reference" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = module_from_spec(spec)
    spec.loader.exec_module(generate)
    written = (DOCS / "reference" / f"{page}.md").read_text()
    assert written == getattr(generate, f"{page}_page")()


def test_every_endpoint_says_what_it_does():
    """A row of the page without a sentence is an endpoint without a docstring."""
    page = (DOCS / "reference" / "endpoints.md").read_text()
    assert len(re.findall(r"^\| [A-Z]+ \|", page, re.MULTILINE)) > 30
    assert re.findall(r"^\| [A-Z]+ \| `[^`]+` \| [^|]+ \|  \|", page, re.MULTILINE) == []


def test_every_setting_says_what_it_means():
    """A row of the page without a meaning is a field without a sentence below it."""
    rows = re.findall(r"^\| `(\w+)` \|.*$", (DOCS / "reference" / "settings.md").read_text(), re.MULTILINE)
    silent = [
        line for line in (DOCS / "reference" / "settings.md").read_text().splitlines() if "|  |" in line
    ]
    assert len(rows) > 10
    assert silent == []


UNTESTED_PAGES = {
    "connect-a-backend": "tests/system/test_data_plane_backends.py and test_own_backends.py",
    "operate-a-gateway": "tests/system/test_operations.py and test_supervision.py",
    "run-gateways-on-machines-of-their-own": "tests/system/test_apart.py and test_two_gateways.py",
    "tell-a-backend-who-calls": "tests/system/test_claims_at_the_gateway.py",
}
"""Pages that no test reads, as they are about machines and backends, and where what they say is tested."""


def test_every_how_to_page_is_read_by_a_system_test():
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "system").glob("test_*.py"))
    pages = {path.stem for path in (DOCS / "how-to").glob("*.md")}

    unread = {page for page in pages if not re.search(rf'["/ ]{page}(\.md)?["`]', tests)}

    assert unread == set(UNTESTED_PAGES)
