"""The page about the audit log: its commands are run, and somebody is forgotten."""

import json
import subprocess
from pathlib import Path

import httpx2
import yaml
from tests.system.pages import blocks
from tests.system.server import Server

PAGE = "audit-and-erase"
PASSWORD = "correct horse battery staple"
EMAIL = "jane@example.com"
FILE = {
    "apiVersion": "ostiary/v1",
    "organization": {"name": "my_company"},
    "users": [{"username": "jane", "password": PASSWORD, "claims": {"email": EMAIL}}],
    "applications": [
        {
            "name": "Desk",
            "owner": "jane",
            "keys": {
                "production": {
                    "client_id": "desk",
                    "client_secret": "s3cret-of-the-desk",
                    "grant_types": ["password"],
                }
            },
        }
    ],
}


def commands(beginning: str) -> list[str]:
    """The page's commands that begin so, on one line each."""
    lines = "\n".join(blocks(PAGE, "sh")).replace("\\\n  ", "").splitlines()
    return [line for line in lines if line.startswith(beginning)]


def run(server: Server, command: str) -> str:
    """A command of the page, on this server and about jane of PRIMARY."""
    words = command.partition(" > ")[0].replace("CORP/jane", "jane").split()
    assert words[0] == "ostiary"
    done = server.ostiary(*words[1:])
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_person_is_handed_out_and_forgotten_and_the_log_still_holds(server: Server, tmp_path: Path):
    (tmp_path / "organization.yaml").write_text(yaml.safe_dump(FILE))
    assert server.ostiary("apply", "-f", str(tmp_path / "organization.yaml")).returncode == 0
    url = f"https://localhost:{server.management_port}/t/my_company/oauth2/token"
    form = {"grant_type": "password", "username": "jane", "password": PASSWORD}
    with httpx2.Client(verify=server.trust()) as http:
        assert http.post(url, data=form, auth=("desk", "s3cret-of-the-desk")).status_code == 200
    place = ("--data-dir /var/lib/ostiary", f"--data-dir {server.directory}")
    export, verify = (commands(f"ostiary audit {verb}")[0].replace(*place) for verb in ("export", "verify"))
    handed_out, erase = (
        commands(f"ostiary subject {verb}")[0].replace(*place) for verb in ("export", "erase")
    )

    held = json.loads(run(server, handed_out))
    run(server, verify)
    before = [json.loads(line) for line in run(server, export).splitlines()]
    run(server, f"{erase} --yes")
    after = run(server, export)

    assert EMAIL in json.dumps(held)
    assert {"user.created", "user.token_issued"} <= {record["action"] for record in before}
    assert "jane" in json.dumps(before)
    assert "jane" not in after
    assert "$erased" in after
    assert "my_company" in run(server, verify)
    copy, compare = blocks(PAGE, "sh")[-2].replace("/mnt/elsewhere", str(tmp_path)).strip().splitlines()
    subprocess.run(copy.replace("/var/lib/ostiary", str(server.directory)).split(), check=True)
    assert "anchors: as they were written" in run(server, compare.replace(*place))


def test_the_page_of_the_log_is_read_on_the_machine_itself(server: Server):
    (command,) = commands("curl")
    here = command.replace("/var/lib/ostiary", str(server.directory)).replace("/t/my_company", "")

    done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 0, done.stderr
    assert "organization.created" in done.stdout
