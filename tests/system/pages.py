"""How-to pages, as tests run them: what stands in their code blocks."""

import re
from pathlib import Path

_HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language, in their order."""
    text = (_HOW_TO / f"{page}.md").read_text()
    return [block for kind, block in _BLOCK.findall(text) if kind == language]
