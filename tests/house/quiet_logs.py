"""No test passes whose captured output holds a secret: a plugin over the whole suite.

What counts: tokens and assertions by their form, credentials in headers, and every password and secret
that the suite itself gives a name to (`…PASSWORD = "…"`). Assertion messages of tests that fail anyway are
not looked at.
"""

import re
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_FORMS = (
    re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"),
    re.compile(r"\b(?:Basic|Bearer) +[A-Za-z0-9._~+/-]{16,}=*"),
    re.compile(r"\$argon2id\$"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
)
_NAMED = re.compile(r"^\s*\w*(?:PASSWORD|SECRET) = \"([^\"\n]{10,})\"", re.MULTILINE)
_HERE = Path(__file__).resolve().parent


@cache
def secrets_of_the_suite() -> frozenset[str]:
    """The values of the suite's own constants that are named after a password or secret."""
    return frozenset(
        value for path in _HERE.parent.rglob("*.py") for value in _NAMED.findall(path.read_text())
    )


def leaked(text: str) -> list[str]:
    """What in a log should not be there; shortened, because this is printed too."""
    found = [match.group(0) for form in _FORMS for match in form.finditer(text)]
    return [f"{secret[:12]}…" for secret in (*found, *(s for s in secrets_of_the_suite() if s in text))]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail what has passed with a secret in its captured output."""
    report = yield
    if report.passed and not item.path.is_relative_to(_HERE):
        output = "\n".join(text for name, text in report.sections if name.startswith("Captured"))
        if found := leaked(output):
            report.outcome = "failed"
            report.longrepr = f"the captured output of this test holds secrets: {', '.join(found)}"
    return report
