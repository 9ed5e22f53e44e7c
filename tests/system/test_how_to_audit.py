"""The page about the audit log: its commands are run, and somebody is forgotten."""

import json
import subprocess
from pathlib import Path

import httpx2
import yaml
from tests.system.pages import commands
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


def run(server: Server, words: list[str], *more: str) -> str:
    """A command of the page, on this server and about jane of PRIMARY."""
    if ">" in words:
        words = words[: words.index(">")]
    there = {"CORP/jane": "jane", "/var/lib/ostiary": str(server.directory)}
    done = server.ostiary(*(there.get(word, word) for word in words), *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_person_is_handed_out_and_forgotten_and_the_log_still_holds(server: Server, tmp_path: Path):
    (tmp_path / "organization.yaml").write_text(yaml.safe_dump(FILE))
    assert server.ostiary("apply", "-f", str(tmp_path / "organization.yaml")).returncode == 0
    url = f"https://localhost:{server.management_port}/t/my_company/oauth2/token"
    form = {"grant_type": "password", "username": "jane", "password": PASSWORD}
    with httpx2.Client(verify=server.trust()) as http:
        assert http.post(url, data=form, auth=("desk", "s3cret-of-the-desk")).status_code == 200
    (export,), (verify, compare) = (commands(PAGE, f"ostiary audit {verb}") for verb in ("export", "verify"))
    (handed_out,), (erase,) = (commands(PAGE, f"ostiary subject {verb}") for verb in ("export", "erase"))

    held = json.loads(run(server, handed_out))
    run(server, verify)
    before = [json.loads(line) for line in run(server, export).splitlines()]
    run(server, erase, "--yes")
    after = run(server, export)

    assert EMAIL in json.dumps(held)
    assert {"user.created", "user.token_issued"} <= {record["action"] for record in before}
    assert "jane" in json.dumps(before)
    assert "jane" not in after
    assert "$erased" in after
    assert "my_company" in run(server, verify)
    (copy,) = commands(PAGE, "cp")
    place = ("/var/lib/ostiary", str(server.directory)), ("/mnt/elsewhere", str(tmp_path))
    copy, compare = (_at(words, *place) for words in (copy, compare))
    subprocess.run(["cp", *copy], check=True)
    assert "anchors: as they were written" in run(server, compare)


def _at(words: list[str], *places: tuple[str, str]) -> list[str]:
    for there, here in places:
        words = [word.replace(there, here) for word in words]
    return words


def test_the_page_of_the_log_is_read_on_the_machine_itself(server: Server):
    (words,) = commands(PAGE, "curl")
    there = [w.replace("/var/lib/ostiary", str(server.directory)).replace("/t/my_company", "") for w in words]

    done = subprocess.run(["curl", *there], capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 0, done.stderr
    assert "organization.created" in done.stdout
