"""The page about SCIM: its file is applied and its commands are run, one after the other, as it says them."""

from pathlib import Path

from tests.system.pages import blocks, perform
from tests.system.server import Server

PAGE = "provision-users-with-scim"
SECRETS = {"OWNER_PASSWORD": "owner-password-of-a-test", "PROVISIONING_SECRET": "secret-of-a-test"}


def test_a_client_provisions_as_the_page_says(server: Server, tmp_path: Path):
    (tmp_path / "organization.yaml").write_text(blocks(PAGE, "yaml")[0])
    applied = server.ostiary("apply", "-f", str(tmp_path / "organization.yaml"), **SECRETS)
    assert applied.returncode == 0, applied.stderr + applied.stdout
    commands = "\n".join([*blocks(PAGE, "sh"), "echo; scim $SCIM/Users/$BOB"])

    last = perform(server, commands, **SECRETS).splitlines()[-1]

    assert '"userName": "bob"' in last
    assert '"active": false' in last
    assert '"display": "staff"' in last
