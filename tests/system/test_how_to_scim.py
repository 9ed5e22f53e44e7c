"""The page about SCIM: its file is applied and its commands are run, one after the other, as it says them."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.server import Server

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "provision-users-with-scim.md").read_text()
SECRETS = {"OWNER_PASSWORD": "owner-password-of-a-test", "PROVISIONING_SECRET": "secret-of-a-test"}


@pytest.fixture
def server() -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    server = Server(directory / "data")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_a_client_provisions_as_the_page_says(server: Server, tmp_path: Path):
    (tmp_path / "organization.yaml").write_text(blocks("yaml")[0])
    applied = server.ostiary("apply", "-f", str(tmp_path / "organization.yaml"), **SECRETS)
    assert applied.returncode == 0, applied.stderr + applied.stdout
    commands = "\n".join(["set -euo pipefail", *blocks("sh"), "echo; scim $SCIM/Users/$BOB"])
    here = commands.replace("https://localhost:9443", f"https://localhost:{server.management_port}")

    done = subprocess.run(
        ["bash", "-c", here.replace("DIR/", f"{server.directory}/")],
        env={"PATH": "/usr/bin:/bin", **SECRETS},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    last = done.stdout.splitlines()[-1]
    assert '"userName": "bob"' in last
    assert '"active": false' in last
    assert '"display": "staff"' in last
