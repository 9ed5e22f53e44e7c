"""The pages about connecting a user store: their file is applied, and somebody of a real server logs in."""

import asyncio
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import active_directory as ad
from tests.support import directory_server as ldap
from tests.support.certificates import Authority
from tests.support.http_service import Answer, HTTPService, Seen
from tests.support.login_service import SERVICE_PASSWORD, LoginService
from tests.support.ports import free_port
from tests.support.sql_servers import READER_PASSWORD, PostgreSQL
from tests.system.administrator import Administrator, claims_of
from tests.system.pages import blocks
from tests.system.server import Server

from ostiary.foundation.certificates import Purpose
from ostiary.gateway.supervise import find_haproxy

PASSWORD = "secret"


@dataclass
class Page:
    """A page, what its file is changed to for this test, and who logs in."""

    store: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    password: str = PASSWORD
    display: str = "CORP/testuser@my_company"
    names: tuple[str, ...] = ("testuser", "TestUser")
    scope: str = "orders:write"
    """What the groups of the person give."""
    stop: Callable[[], None] = lambda: None
    outlives_its_store: bool = False


def openldap(folder: Path) -> Page:
    authority = Authority()
    server = ldap.DirectoryServer(folder, authority).start()
    server.add(ldap.group("sales", "testuser"))
    return Page(
        {"urls": ["ldaps://127.0.0.1:1", server.tls_url]},
        {"CORP_PASSWORD": ldap.READER_PASSWORD},
        {"corp-ca.pem": authority.ca},
        names=("testuser", "TestUser", "testuser@corp.example"),
        stop=server.stop,
    )


def active_directory(folder: Path) -> Page:
    authority = Authority()
    server = ad.ActiveDirectory(folder, authority).start()
    server.user("testuser")
    server.group("sales", "testuser")
    return Page(
        {"urls": [server.url], "timeout_ms": 10_000},
        {"CORP_PASSWORD": ad.READER_PASSWORD},
        {"corp-ca.pem": authority.ca},
        password=ad.PASSWORD,
        names=("testuser", "testuser@corp.example"),
        stop=server.stop,
    )


def postgresql(folder: Path) -> Page:
    server = PostgreSQL(folder)
    environment = {"SHOP_PASSWORD": READER_PASSWORD}
    display = "SHOP/testuser@my_company"
    return Page({"url": server.url}, environment, display=display, stop=server.stop)


def legacy(_: Path) -> Page:
    def answer(request: Seen) -> Answer:
        said = json.loads(request.body)
        if request.headers["authorization"] != "Bearer t0ken" or said != {
            "user": "testuser",
            "secret": PASSWORD,
        }:
            return 200, {"result": {"code": 7}}
        return 200, {"result": {"code": 0, "userId": 4711, "groups": ["sales"], "mail": "t@legacy.example"}}

    service = InBackground(HTTPService(answer))
    display = "LEGACY/testuser@my_company"
    store = {"url": f"{service.url}/login"}
    return Page(store, {"LEGACY_TOKEN": "t0ken"}, display=display, stop=service.stop)


def behind_a_firewall(folder: Path) -> Page:
    """The page's HAProxy between, with the page's configuration."""
    inner, dmz, ours = InBackground(LoginService({"testuser": PASSWORD})), Authority(), Authority()
    port = free_port()
    (folder / "dmz.pem").write_text("".join(dmz.issue("127.0.0.1")))
    (folder / "ostiary-ca.pem").write_text(ours.ca)
    configuration = blocks("reach-a-store-behind-a-firewall", "haproxy")[0]
    for said, here in {
        ":8443": f"127.0.0.1:{port}",
        "/etc/haproxy": str(folder),
        "10.20.0.5:8080": inner.url.removeprefix("http://").partition("/")[0],
    }.items():
        assert said in configuration
        configuration = configuration.replace(said, here)
    (folder / "haproxy.cfg").write_text(configuration)
    proxy = subprocess.Popen([find_haproxy().binary, "-db", "-f", str(folder / "haproxy.cfg")])
    certificate, key = ours.issue("ostiary", purpose=Purpose.CLIENT)

    def stop() -> None:
        proxy.kill()
        proxy.wait()
        inner.stop()

    return Page(
        {"url": f"https://127.0.0.1:{port}/authenticate"},
        {"EXTERNAL_STORE_PASSWORD": SERVICE_PASSWORD},
        {"dmz-ca.pem": dmz.ca, "ostiary.pem": certificate, "ostiary-key.pem": key},
        display="EXTERNAL/testuser@my_company",
        scope="default",
        stop=stop,
    )


def migrated_from(_: Path) -> Page:
    old = InBackground(LoginService({"testuser": PASSWORD}))
    return Page(
        {"url": old.url, "migrate_until": "2999-12-31"},
        {"EXTERNAL_STORE_PASSWORD": SERVICE_PASSWORD},
        display="LEGACY/testuser@my_company",
        scope="default",
        stop=old.stop,
        outlives_its_store=True,
    )


class InBackground:
    """A server on a loop of its own, in a thread."""

    def __init__(self, server: Any) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._server = self._run(server.start())
        self.url: str = self._server.url

    def stop(self) -> None:
        self._run(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


MADE: dict[str, Callable[[Path], Page]] = {
    "connect-openldap": openldap,
    "connect-active-directory": active_directory,
    "connect-a-postgresql-table": postgresql,
    "connect-a-rest-service-of-another-shape": legacy,
    "reach-a-store-behind-a-firewall": behind_a_firewall,
    "migrate-away-from-an-old-store": migrated_from,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    server = Server(directory / "data")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("page", MADE)
def test_what_the_page_says_lets_somebody_log_in(server: Server, tmp_path: Path, page: str):
    folder = Path(tempfile.mkdtemp(prefix="ostiary-store-", dir="/tmp"))
    made = MADE[page](folder)
    try:
        document = yaml.safe_load(blocks(page, "yaml")[0])
        document["user_stores"][0] |= made.store
        (tmp_path / "organization.yaml").write_text(yaml.safe_dump(document))
        for name, text in made.files.items():
            (tmp_path / name).write_text(text)
        file = str(tmp_path / "organization.yaml")
        done = server.ostiary(
            "apply", "--prune", "-f", file, **made.environment
        )  # other pages are read alone
        assert done.returncode == 0, done.stderr + done.stdout

        answers = [_token(server, name, made) for name in made.names]

        subjects = {claims_of(answer["access_token"])["sub"] for answer in answers}
        assert len(subjects) == 1
        assert {answer["scope"] for answer in answers} == {made.scope}
        _trace(server, made)
    finally:
        made.stop()
        if made.outlives_its_store:
            answer = _token(server, made.names[0], made)
            assert claims_of(answer["access_token"])["sub"] in subjects
        shutil.rmtree(folder, ignore_errors=True)


def test_users_of_a_file_log_in(server: Server, tmp_path: Path):
    (tmp_path / "users.csv").write_text(blocks("import-users", "csv")[0] + "bob,plain text,,\n")
    page = Page({}, names=("alice",))
    Administrator(server.directory, "my_company").apply()

    for said in (
        "1 would be created, 0 there already, 1 refused",
        "1 created, 0 there",
        "0 created, 1 there",
    ):
        more = ["--dry-run"] if "would" in said else []
        done = server.ostiary("users", "import", str(tmp_path / "users.csv"), "--org", "my_company", *more)
        assert said in done.stdout, done.stdout + done.stderr
        assert "line 3: hash: a hash that can be verified here" in done.stdout
        assert done.returncode == 1

    assert _token(server, "Alice", page)["access_token"]


def _trace(server: Server, page: Page) -> None:
    """`ostiary trace login` tells who was asked and what came of it, and never the password."""
    for password, code in ((page.password, 0), ("a-wrong-password", 1)):
        environment = {"OSTIARY_TRACE_PASSWORD": password}
        store = page.display.partition("/")[0]
        done = server.ostiary("trace", "login", f"{store}/testuser", "--org", "my_company", **environment)
        assert done.returncode == code, done.stdout + done.stderr
        assert f"{store} is asked about testuser" in done.stdout
        assert (f"accepted: {page.display}" in done.stdout) is (code == 0)
        assert password == "secret" or password not in done.stdout


def _token(server: Server, name: str, page: Page) -> dict[str, Any]:
    administrator = Administrator(server.directory, "my_company")
    client = next((a for a in administrator.ask("GET", "/apim/v1/applications")["items"]), None)
    if client is None:
        administrator.apply(users=[{"username": "owner", "password": "a-password-of-a-test"}])
        keys = administrator.an_application("Mobile").keys["PRODUCTION"]
        KEYS[server.directory] = (keys.client_id, keys.secret)
    with server.gateway() as http:
        form = {"grant_type": "password", "username": f"{name}@my_company", "password": page.password}
        form["scope"] = "orders:write"
        answer = http.post("/token", data=form, auth=KEYS[server.directory])
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


KEYS: dict[Path, tuple[str, str]] = {}
