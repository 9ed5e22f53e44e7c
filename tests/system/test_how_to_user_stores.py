"""The pages about connecting a user store: their file is applied, and somebody of a real server logs in."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import active_directory as ad
from tests.support import directory_server as ldap
from tests.support.certificates import Authority
from tests.support.sql_servers import READER_PASSWORD, PostgreSQL
from tests.system.administrator import Administrator, claims_of
from tests.system.server import Server

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
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
    scope: str | None = None
    stop: Callable[[], None] = lambda: None


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
    return Page({"url": server.url}, environment, stop=server.stop)


MADE: dict[str, Callable[[Path], Page]] = {
    "connect-openldap": openldap,
    "connect-active-directory": active_directory,
    "connect-a-postgresql-table": postgresql,
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
        document = yaml.safe_load(_block(page, "yaml"))
        document["user_stores"][0] |= made.store
        (tmp_path / "organization.yaml").write_text(yaml.safe_dump(document))
        for name, text in made.files.items():
            (tmp_path / name).write_text(text)
        done = server.ostiary("apply", "-f", str(tmp_path / "organization.yaml"), **made.environment)
        assert done.returncode == 0, done.stderr + done.stdout

        answers = [_token(server, name, made) for name in made.names]

        subjects = {claims_of(answer["access_token"])["sub"] for answer in answers}
        assert len(subjects) == 1
        scopes = {answer["scope"] for answer in answers}
        assert scopes == {made.scope or "default"}
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _block(page: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", (PAGES / f"{page}.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def _token(server: Server, name: str, page: Page) -> dict[str, Any]:
    administrator = Administrator(server.directory, "my_company")
    client = next((a for a in administrator.ask("GET", "/apim/v1/applications")["items"]), None)
    if client is None:
        administrator.apply(users=[{"username": "owner", "password": "a-password-of-a-test"}])
        keys = administrator.an_application("Mobile").keys["PRODUCTION"]
        KEYS[server.directory] = (keys.client_id, keys.secret)
    with server.gateway() as http:
        form = {"grant_type": "password", "username": f"{name}@my_company", "password": page.password}
        answer = http.post("/token", data=form, auth=KEYS[server.directory])
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


KEYS: dict[Path, tuple[str, str]] = {}
