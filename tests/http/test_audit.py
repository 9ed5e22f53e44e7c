"""The audit log of the real app: every guarded write is in it, and so is what was refused."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient
from tests.http.apim.conftest import Local
from tests.http.test_every_route import PASSWORD, all_routes, basic, make_administrator
from tests.system.waiting import until
from typer.testing import CliRunner

from ostiary import cli
from ostiary.app import Settings, build_app
from ostiary.foundation.audit import Wanted, chain_staged, read_records, verify_chain
from ostiary.foundation.audit.refusals import AT_ONCE
from ostiary.foundation.database import write_engine
from ostiary.foundation.secrets import SecretBox, load_or_create_key
from ostiary.organizations import find
from ostiary.permissions import Audience

CLIENT_SECRET = "marker-secret-of-the-client"
USER_PASSWORD = "marker-password-of-bob"
WRONG_PASSWORD = "marker-wrong-password-of-bob"
STORE_PASSWORD = "marker-password-of-the-store"
TYPED_AS_NAME = "marker-password-in-the-wrong-field"
API = "/t/acme/api"


class Installation:
    """One app, called by the local administrator, by `admin` of `default` or by a client."""

    def __init__(self, local: TestClient, settings: Settings) -> None:
        self.local = local
        self.settings = settings
        self.headers: dict[str, str] = {}
        self.box = SecretBox(load_or_create_key(settings.data_dir / "secret.key"))

    def call(self, method: str, path: str, status: int, json: Any = None, **more: Any) -> str:
        """Call; returns the request's identifier."""
        response = self.local.request(method, path, json=json, **more)
        assert response.status_code == status, response.text
        return str(response.headers["x-request-id"])

    def tokens(self, status: int = 200, **form: str) -> dict[str, Any]:
        """Ask `acme` for a token as the client `mobile`; returns the answer with the request's identifier."""
        form = {"grant_type": "password", **form}
        auth = {"Authorization": basic("mobile", CLIENT_SECRET), "X-Forwarded-For": "203.0.113.9"}
        response = self.local.post("/t/acme/oauth2/token", data=form, headers={**auth, **self.headers})
        assert response.status_code == status, response.text
        return {**response.json(), "request_id": response.headers["x-request-id"]}

    def token(self, status: int, **form: str) -> str:
        """The same; returns the request's identifier."""
        return str(self.tokens(status, **form)["request_id"])

    def log(self, organization: str = "acme", **wanted: Any) -> list[dict[str, Any]]:
        """What administrators read, once nothing waits any more."""
        engine = write_engine(self.settings.database)
        with engine.begin() as connection:
            while chain_staged(connection, self.box):
                pass
        engine.dispose()
        prefix = "" if organization == "default" else f"/t/{organization}"
        response = self.local.get(f"{prefix}/api/server/v1/audit-log", params={"limit": 500, **wanted})
        assert response.status_code == 200, response.text
        records: list[dict[str, Any]] = response.json()["records"]
        return records


@contextmanager
def an_installation(settings: Settings, *, is_local: bool = True) -> Iterator[Installation]:
    app = build_app(settings)
    with TestClient(Local(app) if is_local else app, raise_server_exceptions=False) as local:
        yield Installation(local, settings)


@pytest.fixture
def installation(settings: Settings) -> Iterator[Installation]:
    with an_installation(settings) as installation:
        yield installation


def a_client(**changes: Any) -> dict[str, Any]:
    grants = ["password", "refresh_token"]
    return {"client_id": "mobile", "client_secret": CLIENT_SECRET, "grant_types": grants, **changes}


def test_a_change_is_in_the_log_with_its_request(installation: Installation) -> None:
    made = installation.call("POST", f"{API}/oauth/v1/clients", 201, a_client())
    changed = installation.call("PUT", f"{API}/oauth/v1/clients/mobile", 200, a_client(name="New"))

    (creation,) = installation.log(request_id=made)
    (change,) = installation.log(request_id=changed)
    assert creation["action"] == "client.created"
    assert creation["actor"] == {"kind": "local administrator", "address": "testclient"}
    assert creation["operation"] == "POST /api/oauth/v1/clients"
    assert creation["after"]["secret_fingerprint"] == "(hidden)"
    assert change["action"] == "client.changed"
    assert change["target"] == {"kind": "client", "id": "mobile"}
    assert (change["before"], change["after"]) == ({"name": "mobile"}, {"name": "New"})


def test_a_write_that_says_nothing_of_itself_is_in_the_log_all_the_same(installation: Installation) -> None:
    installation.call("PUT", f"{API}/oauth/v1/clients/mobile", 201, a_client())
    again = installation.call("PUT", f"{API}/oauth/v1/clients/mobile", 200, a_client(client_secret=None))

    (record,) = installation.log(request_id=again)
    assert (record["action"], record["outcome"]) == ("request.answered", "done")
    assert record["operation"] == "PUT /api/oauth/v1/clients/{client_id}"


def test_every_operation_that_is_no_read_is_in_the_log(settings: Settings) -> None:
    """Whatever the endpoint does: a new one needs nothing for it. Most refuse what is sent here."""
    done, refused = set(), 0
    with an_installation(settings) as installation:
        for method, path in guarded_writes(settings):
            answer = installation.local.request(method, re.sub(r"{.*?}", "x", path), json={})
            assert answer.status_code != 500, path
            refused += answer.is_client_error
            if answer.is_success:
                done.add(f"{method} {path}")

    log = records_of(settings, "default")
    assert done <= {record.get("operation") for record in log if record["outcome"] == "done"}
    assert sum(record.get("times", 0) for record in log) == refused > AT_ONCE


def guarded_writes(settings: Settings) -> list[tuple[str, str]]:
    administration = (Audience.PERMITTED, Audience.USER)
    routes = [route for route in all_routes(settings) if route.access.audience in administration]
    here = [route for route in routes if not route.path.startswith("/t/")]
    return [(method, route.path) for route in here for method in route.methods - {"GET", "HEAD", "OPTIONS"}]


def test_a_login_is_in_the_log_with_what_was_issued(installation: Installation) -> None:
    installation.call("POST", f"{API}/oauth/v1/clients", 201, a_client())
    installation.call("POST", f"{API}/identity/v1/users", 201, {"username": "bob", "password": USER_PASSWORD})

    granted = installation.token(200, username="bob", password=USER_PASSWORD)

    (record,) = installation.log(request_id=granted)
    subject = record["target"]["id"]
    assert record["action"] == "user.token_issued"
    assert record["actor"] == {"kind": "client", "id": "mobile", "address": "203.0.113.9"}
    assert record["after"].pop("token")
    assert record["after"] == {
        "grant_type": "password",
        "client": "mobile",
        "scope": ["default"],
        "store": "PRIMARY",
        "username": "bob@acme",
    }
    assert [r["action"] for r in installation.log(concerning=subject)] == [
        "user.created",
        "user.token_issued",
    ]


def records_of(settings: Settings, organization: str = "acme") -> list[dict[str, Any]]:
    """The whole log of an installation that has stopped, in its database."""
    box = SecretBox(load_or_create_key(settings.data_dir / "secret.key"))
    engine = write_engine(settings.database)
    with engine.begin() as connection:
        while chain_staged(connection, box):
            pass
        here = find(connection, organization)
        assert here is not None
        assert verify_chain(connection, box, here.id).problem is None
        found = list(read_records(connection, box, here.id, Wanted()))
    engine.dispose()
    return found


def refused_of(settings: Settings, organization: str = "acme") -> list[dict[str, Any]]:
    return [record for record in records_of(settings, organization) if record["outcome"] == "refused"]


def stored(settings: Settings) -> bytes:
    """Every byte of the database's files."""
    return b"".join(file.read_bytes() for file in settings.data_dir.glob("ostiary.db*"))


def test_refused_logins_say_who_was_meant_and_unknown_names_only_as_a_hash(
    settings: Settings,
) -> None:
    with an_installation(settings) as installation:
        installation.call("POST", f"{API}/oauth/v1/clients", 201, a_client())
        bob = {"username": "bob", "password": USER_PASSWORD}
        installation.call("POST", f"{API}/identity/v1/users", 201, bob)
        first = installation.token(400, username="bob", password=WRONG_PASSWORD)
        installation.token(400, username="BOB", password=WRONG_PASSWORD)
        installation.token(400, username=TYPED_AS_NAME, password="x")

    made = records_of(settings)
    (subject,) = [record["target"]["id"] for record in made if record["action"] == "user.created"]
    wrong, unknown = refused_of(settings)
    assert wrong["target"] == {"kind": "user", "id": subject}
    assert (wrong["action"], wrong["reason"], wrong["times"]) == ("token.refused", "refused_by_PRIMARY", 2)
    assert wrong["actor"] == {"kind": "client", "id": "mobile", "address": "203.0.113.9"}
    assert wrong["request_id"] == first
    assert unknown["target"].keys() == {"kind", "name_hash"}
    assert len(unknown["target"]["name_hash"]) == 43
    assert "marker" not in str(made)


def test_who_is_not_admitted_and_what_is_refused_is_in_the_log(settings: Settings) -> None:
    make_administrator(settings)
    with an_installation(settings, is_local=False) as installation:
        clients, nobody = "/api/oauth/v1/clients", {"X-Forwarded-For": "198.51.100.7"}
        admin = {"Authorization": basic("admin", PASSWORD), "X-Forwarded-For": "192.0.2.1"}
        for _ in range(3):
            installation.call("GET", clients, 401, headers=nobody)
        installation.call("DELETE", f"{clients}/nothing", 404, headers=admin)
        installation.call("GET", f"{clients}/nothing", 404, headers=admin)
        installation.call("GET", "/t/acme/api/oauth/v1/clients", 401, headers=nobody)
        installation.call("GET", "/t/nowhere/api/oauth/v1/clients", 401, headers=nobody)

    strangers, failed = refused_of(settings, "default")
    assert (strangers["reason"], strangers["times"]) == ("401", 3)
    assert strangers["actor"] == {"kind": "nobody", "address": "198.51.100.7"}
    assert (failed["reason"], failed["operation"]) == ("404", "DELETE /api/oauth/v1/clients/{client_id}")
    assert (failed["actor"]["kind"], failed["actor"]["name"]) == ("user", "admin@default")
    assert failed["actor"]["address"] == "192.0.2.1"
    assert [record["reason"] for record in refused_of(settings)] == ["401"]


def test_whose_password_was_guessed_and_who_lacked_a_permission_is_in_the_log(settings: Settings) -> None:
    make_administrator(settings)
    with an_installation(settings, is_local=False) as installation:
        admin, clients = {"Authorization": basic("admin", PASSWORD)}, "/api/oauth/v1/clients"
        bob = {"username": "bob", "password": USER_PASSWORD}
        installation.call("POST", "/api/identity/v1/users", 201, bob, headers=admin)
        guess = {"Authorization": basic("bob", WRONG_PASSWORD)}
        installation.call("GET", clients, 401, headers=guess)
        installation.call("GET", clients, 403, headers={"Authorization": basic("bob", USER_PASSWORD)})

    log = records_of(settings, "default")
    (subject,) = [record["target"]["id"] for record in log if record["action"] == "user.created"][1:]
    guessed, lacking = [record for record in log if record["outcome"] == "refused"]
    assert (guessed["reason"], guessed["target"]["id"]) == ("refused_by_PRIMARY", subject)
    assert (lacking["reason"], lacking["actor"]["id"]) == ("403", subject)
    assert lacking["actor"]["name"] == "bob@default"


def test_who_is_refused_cannot_fill_the_disk(settings: Settings) -> None:
    """However many addresses somebody comes from, a worker writes a bounded number of records of it."""
    with an_installation(settings, is_local=False) as installation:
        for number in range(AT_ONCE + 30):
            address = {"X-Forwarded-For": f"198.51.100.{number}"}
            installation.call("GET", f"{API}/oauth/v1/clients", 401, headers=address)

    refused = refused_of(settings)
    assert len(refused) <= 2 * (AT_ONCE + 1)  # the first ten seconds may end in the middle
    assert sum(record["times"] for record in refused) == AT_ONCE + 30
    assert "request.refused" in {
        record["action"] for record in refused if record["actor"]["kind"] == "several"
    }


def test_no_secret_of_anything_is_in_the_database(settings: Settings) -> None:
    """One of everything that has a secret is made and changed."""
    store = {"type": "rest", "name": "EXT", "url": "https://login.example/check"}
    with an_installation(settings) as installation:
        call = installation.call
        call("POST", f"{API}/oauth/v1/clients", 201, a_client())
        call("PUT", f"{API}/oauth/v1/clients/mobile", 200, a_client(client_secret=CLIENT_SECRET + "2"))
        call("POST", f"{API}/identity/v1/users", 201, {"username": "bob", "password": USER_PASSWORD})
        call("PUT", f"{API}/identity/v1/users/bob", 200, {"password": USER_PASSWORD + "2"})
        for method, path, password in (("POST", "", ""), ("PUT", "/EXT", "2")):
            basic_auth = {"basic": {"username": "us", "password": STORE_PASSWORD + password}}
            body = {**store, "auth": basic_auth}
            if method == "PUT":
                body.pop("name")
            call(method, f"{API}/identity/v1/user-stores{path}", 200 if path else 201, body)

    actions = [record["action"] for record in records_of(settings)[1:]]
    things = ("client", "user", "user_store")
    assert actions == [f"{thing}.{verb}" for thing in things for verb in ("created", "changed")]
    kept = stored(settings)
    for secret in (CLIENT_SECRET, USER_PASSWORD, STORE_PASSWORD):
        assert secret.encode() not in kept
    logged = str(records_of(settings))
    assert "argon2" not in logged
    assert logged.count("(hidden)") == 9


def test_the_log_of_one_organization_is_nobody_else_s(settings: Settings) -> None:
    make_administrator(settings)
    with an_installation(settings, is_local=False) as installation:
        admin = {"Authorization": basic("admin", PASSWORD)}
        installation.call("GET", "/api/server/v1/audit-log", 200, headers=admin)
        installation.call("GET", f"{API}/server/v1/audit-log", 401, headers=admin)
        installation.call("GET", "/api/server/v1/audit-log", 401)


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "limit=0", "limit=501", f"request_id={'r' * 65}", "concerning=%00"]
)
def test_a_page_that_cannot_be_is_refused_by_name(installation: Installation, query: str) -> None:
    response = installation.local.get(f"{API}/server/v1/audit-log?{query}")

    assert response.status_code == 400
    assert query.partition("=")[0] in response.json()["description"]


def test_a_page_ends_where_the_next_begins(installation: Installation) -> None:
    for number in range(5):  # the organization's own creation comes before
        installation.call("PUT", f"{API}/oauth/v1/clients/c{number}", 201, a_client(client_id=f"c{number}"))

    first, second = installation.log(limit=3), installation.log(after=3)

    assert [r["sequence"] for r in [*first, *second]] == [1, 2, 3, 4, 5, 6]


def test_records_are_chained_without_anybody_asking(installation: Installation) -> None:
    installation.call("POST", f"{API}/oauth/v1/clients", 201, a_client())

    read = f"{API}/server/v1/audit-log"
    until(lambda: installation.local.get(read).json()["records"], what="the record")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, ["audit", *arguments])


def test_the_command_verifies_and_exports_and_sees_a_changed_record(settings: Settings) -> None:
    with an_installation(settings) as installation:
        installation.call("POST", f"{API}/oauth/v1/clients", 201, a_client())
    written = records_of(settings)
    here = ("--data-dir", str(settings.data_dir))

    verified, exported = run("verify", *here), run("export", "acme", *here)
    sealed = run("export", "acme", "--sealed", *here).output.splitlines()

    assert verified.exit_code == 0
    assert "acme: 2 records (1 to 2), " in verified.output
    assert [orjson.loads(line) for line in exported.output.splitlines()] == written
    assert hashlib.sha256(sealed[0].encode()).hexdigest() == orjson.loads(sealed[1])["previous"]

    engine = write_engine(settings.database)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE audit_log SET document = '{}' WHERE sequence = 2")
    engine.dispose()
    broken = run("verify", "acme", *here)
    assert broken.exit_code != 0
    assert "record 2 was altered" in str(broken.exception)


def test_the_command_says_what_there_is_not(settings: Settings, tmp_path: Path) -> None:
    load_or_create_key(settings.data_dir / "secret.key")

    assert "there is no organization nowhere" in str(
        run("export", "nowhere", "--data-dir", str(settings.data_dir)).exception
    )
    assert "is no installation" in str(run("verify", "--data-dir", str(tmp_path / "none")).exception)
