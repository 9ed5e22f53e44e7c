"""Operating an installation: passwords, keys, certificates, PostgreSQL, memory."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import psutil
import pytest
from tests.system.conftest import MakeServer
from tests.system.server import ADMIN_PASSWORD, Server
from tests.system.waiting import until
from tests.system.world import BOB_PASSWORD, Caller, apply, backend, organization

from ostiary.cli.certificates import Authority

CHANGE_WITHIN = 1.0
RESIDENT_AT_MOST = 400 * 2**20


@pytest.fixture
def given_certificate(scratch: Path) -> Iterator[tuple[Path, Path, Path]]:
    """Certificate, key and the authority that signed it."""
    directory = scratch / "operator"
    directory.mkdir()
    authority = Authority(directory)
    authority.ensure({"localhost", "gate.example"}, datetime.now(UTC))
    both = authority.server_file.read_bytes()
    key_at = both.index(b"-----BEGIN PRIVATE")
    certificate, key = directory / "gate.pem", directory / "gate.key"
    certificate.write_bytes(both[:key_at])
    key.write_bytes(both[key_at:])
    return certificate, key, authority.certificate_file


def _may_manage(server: Server, password: str) -> bool:
    with server.management() as management:
        response = management.get("/api/oauth/v1/keys", auth=("admin", password))
    return response.status_code == 200


def test_the_administrators_password_is_reset_on_the_machine(server: Server):
    assert _may_manage(server, ADMIN_PASSWORD)

    done = server.ostiary("admin", "reset-password", OSTIARY_ADMIN_PASSWORD="another-long-password")

    assert done.returncode == 0, done.stderr
    assert _may_manage(server, "another-long-password")
    assert not _may_manage(server, ADMIN_PASSWORD)


def test_a_random_new_password_goes_to_a_private_file(server: Server):
    done = server.ostiary("admin", "reset-password")

    file = server.directory / "admin-password"
    password = file.read_text().strip()
    assert done.stdout.strip() == f"the password of admin is changed: {file}"
    assert file.stat().st_mode & 0o777 == 0o600
    assert password not in done.stdout + done.stderr
    assert _may_manage(server, password)


def test_keys_are_rotated_for_one_organization_or_for_all(server: Server):
    before = _published(server)

    done = server.ostiary("keys", "rotate", "--org", "default")

    assert done.returncode == 0, done.stderr
    assert len(_published(server)) == len(before) + 1
    assert before < _published(server)


def test_keys_of_an_unknown_organization_are_one_clear_line(server: Server):
    done = server.ostiary("keys", "rotate", "--org", "nowhere")

    assert (done.returncode, done.stderr) == (1, "ostiary: there is no organization nowhere\n")


def test_commands_without_an_installation_say_which_one_to_name(scratch: Path, a_server: MakeServer):
    said = f"ostiary: {scratch}/nothing is no installation: say which one with --data-dir\n"
    for command in (("keys", "rotate"), ("admin", "reset-password")):
        done = a_server("nothing").ostiary(*command)

        assert (done.returncode, done.stderr) == (1, said)


def test_a_database_that_is_up_to_date_stays_as_it_is(server: Server):
    done = server.ostiary("db", "upgrade")

    assert (done.returncode, done.stdout) == (0, "the database is up to date\n")


def test_versions_are_told(server: Server):
    done = server.ostiary("version")

    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ostiary", "python", "haproxy"]


def test_a_given_certificate_is_served_on_both_listeners(
    a_server: MakeServer, given_certificate: tuple[Path, Path, Path]
):
    certificate, key, authority = given_certificate
    server = a_server()
    server.environment |= {"OSTIARY_TLS__CERTIFICATE": str(certificate), "OSTIARY_TLS__KEY": str(key)}

    server.start()

    ready = server.ready()
    assert ready is not None
    assert ready["ca"] is None
    trust = ssl.create_default_context(cafile=str(authority))
    for url in (ready["management"], ready["gateway"]):
        assert httpx2.get(f"{url}/oauth2/jwks", verify=trust).status_code in (200, 404)


def test_a_certificate_that_cannot_be_used_is_one_clear_line(
    a_server: MakeServer, given_certificate: tuple[Path, Path, Path]
):
    certificate, _, authority = given_certificate
    server = a_server()
    server.environment |= {
        "OSTIARY_TLS__CERTIFICATE": str(authority),
        "OSTIARY_TLS__KEY": str(certificate.with_suffix(".key")),
    }

    process = server.launch()

    assert process.wait(20) == 1
    assert server.said().startswith("ostiary: the key ")
    assert "does not belong to the certificate" in server.said()


def test_everything_works_on_postgresql(a_server: MakeServer, scratch: Path, postgresql_url: str):
    server = a_server(workers=2)
    server.environment["OSTIARY_DATABASE_URL"] = postgresql_url

    server.start()

    with backend(server, "my_company") as backend_url, server.gateway() as gateway:
        apply(server, scratch, organization("my_company", "http://127.0.0.1:9/nobody", backend_url))
        caller = Caller(gateway, "my_company")
        token = caller.login("bob", BOB_PASSWORD).json()["access_token"]
        caller.once_published(token)
        assert caller.call(token).json()["enduser"] == "bob@my_company"
        assert caller.revoke(token).status_code == 200
        until(lambda: caller.call(token).status_code == 401, CHANGE_WITHIN, "the revocation")
    assert not (server.directory / "ostiary.db").exists()


def test_the_whole_platform_stays_within_its_memory(server: Server):
    assert server.process is not None
    pids = [server.process.pid, *server.tree()]

    resident = {pid: psutil.Process(pid).memory_info().rss for pid in pids}

    assert sum(resident.values()) < RESIDENT_AT_MOST, {server.tree().get(p): r for p, r in resident.items()}


def _published(server: Server) -> set[str]:
    with server.management() as management:
        return {key["kid"] for key in management.get("/oauth2/jwks").json()["keys"]}
