"""The page about administration: its roles and client are applied, its commands are run as it says them."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from tests.system.conftest import MakeServer
from tests.system.pages import blocks, perform
from tests.system.server import Server

PAGE = "say-who-may-administer"
PASSWORD = "correct horse battery staple"
SECRETS = {"REPORT_SECRET": "secret-of-a-test", "PASSWORD": PASSWORD}


@pytest.fixture
def server(a_server: MakeServer) -> Server:
    """With passwords for tokens off, as they are unless somebody says otherwise."""
    server = a_server()
    del server.environment["OSTIARY_ACCESS__BASIC_AUTHENTICATION"]
    return server.start()


def organization() -> dict[str, Any]:
    """Every role and client of the page in one file, with the people they name."""
    parts = [yaml.safe_load(block) for block in blocks(PAGE, "yaml")]
    roles = [role for part in parts for role in part.get("roles", [])]
    people = [{"username": name, "password": {"env": "PASSWORD"}} for name in ("bob", "hugo")]
    for role in roles:  # people of a store that this test does not have
        role["users"] = [name for name in role.get("users", []) if "/" not in name]
    return {
        "apiVersion": "ostiary/v1",
        "organization": {"name": "my_company"},
        "users": people,
        "roles": roles,
        "applications": [one for part in parts for one in part.get("applications", [])],
    }


def test_a_script_has_the_least_scope_it_needs_as_the_page_says(server: Server, tmp_path: Path):
    (tmp_path / "organization.yaml").write_text(yaml.safe_dump(organization()))
    applied = server.ostiary("apply", "-f", str(tmp_path / "organization.yaml"), **SECRETS)
    assert applied.returncode == 0, applied.stderr + applied.stdout
    here = next(block for block in blocks(PAGE, "sh") if "TOKEN=$(" in block)

    assert '"username":"bob"' in perform(server, here, **SECRETS)


def test_the_commands_take_a_token_from_the_environment(server: Server, tmp_path: Path):
    content = organization()
    content["roles"][0]["clients"] = ["nightly-report"]
    content["roles"][0]["permissions"] = ["/permission/admin"]
    keys = content["applications"][0]["keys"]["production"]
    keys["scopes"] = ["internal_organization_apply"]
    file = tmp_path / "organization.yaml"
    file.write_text(yaml.safe_dump(content))
    assert server.ostiary("apply", "-f", str(file), **SECRETS).returncode == 0
    url = f"https://localhost:{server.management_port}"
    form = {"grant_type": "client_credentials", "scope": "SYSTEM"}
    with httpx2.Client(verify=server.trust(), base_url=url) as http:
        auth = ("nightly-report", SECRETS["REPORT_SECRET"])
        answer = http.post("/t/my_company/oauth2/token", data=form, auth=auth).json()
        refused = http.get("/t/my_company/api/identity/v1/users", auth=("bob", PASSWORD))

    remote = {
        "OSTIARY_DATA_DIR": "",
        "OSTIARY_URL": url,
        "OSTIARY_CA": str(server.directory / "tls" / "ca.pem"),
    }
    own = ("apply", "--org", "my_company", "-f", str(file), "--dry-run")
    token = {"OSTIARY_ACCESS_TOKEN": answer["access_token"]}
    served, anonymous = (server.ostiary(*own, **remote, **SECRETS, **proof) for proof in (token, {}))

    assert answer["scope"] == "internal_organization_apply"
    assert refused.status_code == 401
    assert served.returncode == 0, served.stderr
    assert answer["access_token"] not in served.stderr + served.stdout
    assert "Set OSTIARY_ACCESS_TOKEN" in anonymous.stderr


def test_the_page_shows_what_the_command_says(server: Server):
    command = next(line for line in blocks(PAGE, "sh")[0].splitlines() if line.startswith("ostiary "))

    done = server.ostiary(*command.split()[1:])

    assert done.stdout == blocks(PAGE, "text")[0]
