"""The commands about locks and about removing an organization, run as their pages say them."""

import subprocess
from pathlib import Path

from tests.system.pages import commands
from tests.system.server import Server
from tests.system.waiting import until
from tests.system.world import BOB_PASSWORD, Caller, apply, organization

LOCKS, ORGANIZATIONS = "see-who-is-locked-out", "make-an-organization"
NOWHERE = "http://127.0.0.1:9"
FAILURES = 5
FREE_WITHIN = 60.0


def run(server: Server, command: list[str], *more: str) -> subprocess.CompletedProcess[str]:
    words = [str(server.directory) if word == "/var/lib/ostiary" else word for word in command]
    return server.ostiary(*words, *more)


def test_a_lock_is_listed_and_lifted(server: Server, tmp_path: Path) -> None:
    apply(server, tmp_path, organization("my_company", NOWHERE))
    listing, lifting = commands(LOCKS, "ostiary locks")
    with server.gateway() as http:
        bob = Caller(http, "my_company")
        for name in ("PRIMARY/bob", "PRIMARY/nobody-here"):
            for _ in range(FAILURES):
                assert bob.login(name, "wrong").status_code == 400
        assert bob.login("PRIMARY/bob", BOB_PASSWORD).status_code == 400
        listed = run(server, listing)

        lifted = run(server, lifting)

        assert bob.login("PRIMARY/bob", BOB_PASSWORD).status_code == 200
    assert listed.returncode == lifted.returncode == 0, listed.stderr + lifted.stderr
    head, row, others = listed.stdout.splitlines()
    assert head.split() == ["user", "sub", "failures", "since", "until", "client"]
    assert row.split()[0] == "bob@my_company"
    assert row.split()[-1] == "my_company-mobile"
    assert others == "and 1 names that nobody is known by"
    assert run(server, listing).stdout.splitlines() == ["nobody is locked out", others]


def test_an_organization_is_removed_and_its_name_given_again(server: Server, tmp_path: Path) -> None:
    apply(server, tmp_path, organization("shop", NOWHERE))
    (removing,) = commands(ORGANIZATIONS, "ostiary organization")
    unasked = run(server, removing)
    assert (unasked.returncode, "shop" in server.ostiary("organization", "list").stdout) == (1, True)

    removed = run(server, removing, "--yes")

    assert removed.returncode == 0, removed.stderr
    assert server.ostiary("organization", "list").stdout.split()[0] == "default"
    assert "no such organization" in run(server, removing, "--yes").stderr
    assert (
        server.ostiary("locks", "list", "--org", "shop").stderr == "ostiary: there is no such organization\n"
    )
    file = tmp_path / "organization-0.yaml"
    refused = server.ostiary("apply", "-f", str(file))
    assert refused.returncode == 1
    assert "is being removed" in refused.stderr + refused.stdout
    until(lambda: server.ostiary("apply", "-f", str(file)).returncode == 0, FREE_WITHIN)
    identifier = removed.stdout.split("identifier ")[1].strip(")\n")
    exported = server.ostiary("audit", "export", identifier)
    assert "organization.deleted" in exported.stdout, exported.stderr
