"""The page about SCIM: its file is applied and its commands are run, one after the other, as it says them."""

import subprocess
from pathlib import Path

from tests.system.pages import blocks
from tests.system.server import Server

PAGE = "provision-users-with-scim"
SECRETS = {"OWNER_PASSWORD": "owner-password-of-a-test", "PROVISIONING_SECRET": "secret-of-a-test"}


def test_a_client_provisions_as_the_page_says(server: Server, tmp_path: Path):
    (tmp_path / "organization.yaml").write_text(blocks(PAGE, "yaml")[0])
    applied = server.ostiary("apply", "-f", str(tmp_path / "organization.yaml"), **SECRETS)
    assert applied.returncode == 0, applied.stderr + applied.stdout
    commands = "\n".join(["set -euo pipefail", *blocks(PAGE, "sh"), "echo; scim $SCIM/Users/$BOB"])
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
