"""Where things are in this repository, for the tests of the house."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "ostiary"
DOCS = ROOT / "docs"

CITATION = re.compile(r"\b(?:RFC (?P<rfc>\d{3,5})|(?P<named>(?:OIDC|SAML|SCIM|FAPI|W3C) [A-Z][A-Za-z]+))\b")
"""The citation grammar: `RFC 6749 §4.1.3`, `OIDC Core §3.1.3.7`, `SAML Core §2.5.1`."""


def modules() -> list[Path]:
    """Every Python module of the product."""
    return sorted(SOURCE.rglob("*.py"))


def sources() -> list[Path]:
    """Every file of ours in which a specification is cited: Python, Lua and templates of the product."""
    return sorted(p for p in SOURCE.rglob("*") if p.suffix in {".py", ".lua", ".mako", ".cfg", ".html"})


def suite_modules() -> list[Path]:
    """Every Python module of the suite."""
    return sorted((ROOT / "tests").rglob("*.py"))


def documents() -> list[Path]:
    """Every page a person reads."""
    return sorted(
        [
            *ROOT.glob("*.md"),
            *DOCS.rglob("*.md"),
            *ROOT.glob("examples/**/*.md"),
            *ROOT.glob("benchmarks/*.md"),
        ]
    )


def here(path: Path) -> str:
    """The path as a person writes it."""
    return str(path.relative_to(ROOT))


def cited_in(text: str) -> set[str]:
    """The specifications cited in a text: `{"RFC 6749", "OIDC Core"}`."""
    return {match.group(0) for match in CITATION.finditer(text)}
