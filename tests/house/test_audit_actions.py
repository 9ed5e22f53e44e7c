"""Every kind of thing that the code notes in the audit log is on the page that explains the log."""

import re

from tests.house.repository_files import DOCS, modules

NOTE = re.compile(r'audit\.note\(\s*connection,\s*[\w.]+,\s*"(\w+)"[^"]*?(?:verb="(\w+)"|\)\n)', re.DOTALL)


def test_every_action_is_explained():
    page = (DOCS / "how-to" / "audit-and-erase.md").read_text()
    noted = {match.groups() for path in modules() for match in NOTE.finditer(path.read_text())}

    assert len(noted) > 15
    missing = {f"{kind}.{verb}" if verb else kind for kind, verb in noted if f"`{kind}" not in page} | {
        f"{kind}.{verb}" for kind, verb in noted if verb and f"`{kind}.{verb}`" not in page
    }
    assert missing == set()
