"""How-to pages, as tests run them: what stands in their code blocks."""

import re
import shlex
import subprocess
from pathlib import Path

from tests.system.server import Server

_HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language, in their order."""
    text = (_HOW_TO / f"{page}.md").read_text()
    return [block for kind, block in _BLOCK.findall(text) if kind == language]


def perform(server: Server, script: str, **environment: str) -> str:
    """Run commands of a page on this server, as they stand there. All succeed; what they said."""
    here = script.replace("https://localhost:9443", f"https://localhost:{server.management_port}")
    here = re.sub(r"(?<!/)ca\.pem", f"{server.directory}/tls/ca.pem", here)
    here = here.replace("curl ", "curl -sS --fail-with-body ")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", here.replace("DIR/", f"{server.directory}/")],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def commands(page: str, beginning: str) -> list[list[str]]:
    """The commands of a page that begin so, as words after the first, without comments."""
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith(beginning)]
