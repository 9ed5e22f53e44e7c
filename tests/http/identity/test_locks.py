"""/api/identity/v1/locks: who is locked out of an organization, and how an administrator lifts it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient
from tests.http.gateway.platform import Clock, Where
from tests.http.test_audit import records_of
from tests.http.test_every_route import basic

from ostiary.app import Settings, build_app
from ostiary.foundation.database import write_engine
from ostiary.identity import IdentitySettings
from ostiary.identity.settings import LockoutSettings, RefusalSettings
from ostiary.identity.tables import subjects

LOCKS = "/api/identity/v1/locks"
SECRET, PASSWORD = "s3cret-of-the-shop", "a-good-password-1"
LIMITS = LockoutSettings(client_failures=2, user_failures=4)
QUICK = RefusalSettings(minimum=timedelta(milliseconds=1), percentile=0.51, headroom=1, samples=10)
LOCK = "/permission/admin/manage/identity/authentication/lock"


def document(name: str) -> dict[str, Any]:
    """An organization with kim, who administers it, lee, who helps, and bob."""
    people = {"kim": ["admin"], "lee": ["desk"], "bob": []}
    keys = {"client_id": f"{name}-till", "client_secret": SECRET, "grant_types": ["password"]}
    return {
        "apiVersion": "ostiary/v1",
        "organization": {"name": name},
        "roles": [{"name": "desk", "permissions": [f"{LOCK}/view", f"{LOCK}/delete"]}],
        "users": [{"username": who, "password": PASSWORD, "roles": has} for who, has in people.items()],
        "applications": [{"name": "Till", "owner": "kim", "keys": {"production": keys}}],
    }


@dataclass
class Site:
    """An installation with the organizations `shop` and `bank`."""

    http: TestClient
    clock: Clock

    def log_in(self, username: str, password: str = "wrong", of: str = "shop") -> int:
        form = {"grant_type": "password", "username": username, "password": password}
        return int(self.http.post("/token", data=form, auth=(f"{of}-till", SECRET)).status_code)

    def lock(self, username: str, of: str = "shop") -> None:
        for _ in range(LIMITS.client_failures):
            assert self.log_in(username, of=of) == 400

    def ask(self, method: str = "GET", path: str = "", by: str = "kim", of: str = "shop") -> Any:
        headers = {"Authorization": basic(by, PASSWORD)}
        return self.http.request(method, f"/t/{of}{LOCKS}{path}", headers=headers)

    def locks(self, of: str = "shop") -> dict[str, Any]:
        answer = self.ask(of=of)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def sub(self, name: str, of: str = "shop") -> str:
        headers = {"Authorization": basic("kim", PASSWORD)}
        found = self.http.get(f"/t/{of}/api/identity/v1/subjects", params={"name": name}, headers=headers)
        return str(found.json()["subject"])


@contextmanager
def a_site(settings: Settings) -> Iterator[Site]:
    clock = Clock(datetime.fromisoformat("2031-05-01T12:00:00+00:00"))
    identity = IdentitySettings(lockout=LIMITS, refusals=QUICK)
    app = build_app(settings.model_copy(update={"identity": identity}), clock)
    with TestClient(Where(app), raise_server_exceptions=False) as http:
        for name in ("shop", "bank"):
            body = {"documents": [document(name)]}
            headers = {"X-Test-Socket": "local_administrator"}
            answer = http.post("/api/declarative/v1/apply", json=body, headers=headers)
            assert answer.status_code == 200, answer.text
        yield Site(http, clock)


@pytest.fixture
def site(settings: Settings) -> Iterator[Site]:
    with a_site(settings) as made:
        yield made


def test_who_is_locked_out_is_listed_with_where_since_when_and_until(site: Site) -> None:
    site.lock("bob")

    assert site.locks() == {
        "locks": [
            {
                "sub": site.sub("bob"),
                "user": "bob@shop",
                "store": "PRIMARY",
                "client": "shop-till",
                "failures": 2,
                "since": "2031-05-01T12:00:00+00:00",
                "until": "2031-05-01T12:05:00+00:00",
            }
        ],
        "total": 1,
        "others": 0,
    }


def test_who_failed_too_rarely_or_long_ago_is_not_listed(site: Site) -> None:
    nobody = {"locks": [], "total": 0, "others": 0}
    site.log_in("bob")
    assert site.locks() == nobody
    site.log_in("bob")

    site.clock.now += LIMITS.client_lock

    assert site.locks() == nobody
    assert site.log_in("bob", PASSWORD) == 200


def test_a_user_who_failed_everywhere_is_locked_for_all_clients(site: Site) -> None:
    site.lock("bob")
    site.clock.now += LIMITS.client_lock
    site.lock("bob")

    assert {lock["client"]: lock["failures"] for lock in site.locks()["locks"]} == {None: 4, "shop-till": 2}


def test_a_lifted_lock_lets_the_user_in_at_once(site: Site) -> None:
    site.lock("bob")
    assert site.log_in("bob", PASSWORD) == 400

    lifted = site.ask("DELETE", f"/{site.sub('bob')}")

    assert (lifted.status_code, site.locks()["locks"]) == (204, [])
    assert site.log_in("bob", PASSWORD) == 200


def test_a_help_desk_lets_nobody_in_who_is_counted_with_somebody_stronger(site: Site, settings: Settings):
    """Attack: who had the administrator's name before is let in again and again, and she is guessed at."""
    bob = site.sub("bob")
    assert site.ask("DELETE", f"/{bob}", by="lee").status_code == 204
    engine = write_engine(settings.database)
    with engine.begin() as connection:
        connection.execute(update(subjects).where(subjects.c.id == bob).values(known_as="kim"))
    engine.dispose()

    assert site.ask("DELETE", f"/{bob}", by="lee").status_code == 403
    assert site.ask("DELETE", f"/{bob}", by="kim").status_code == 204


def test_what_was_typed_for_a_name_is_no_user_and_never_shown(site: Site, settings: Settings) -> None:
    """People type passwords into that field."""
    typed = "marker-password-typed-as-a-name"
    site.lock(typed)

    answer = site.ask()

    assert answer.json() == {"locks": [], "total": 0, "others": 1}
    assert typed not in answer.text
    for file in settings.data_dir.glob("ostiary.db*"):
        assert typed.encode() not in file.read_bytes()


def test_organizations_see_and_lift_their_own_locks_alone(site: Site) -> None:
    site.lock("bob")
    bob = site.sub("bob")

    assert site.locks("bank") == {"locks": [], "total": 0, "others": 0}
    assert site.ask("DELETE", f"/{bob}", of="bank").status_code == 404
    assert site.locks()["total"] == 1


def test_the_help_desk_lifts_no_lock_of_an_administrator(site: Site) -> None:
    """Whoever may lift a lock may go on guessing."""
    site.lock("kim")
    site.lock("bob")
    kim = next(one["sub"] for one in site.ask(by="lee").json()["locks"] if one["user"] == "kim@shop")

    refused, done = (
        site.ask("DELETE", f"/{kim}", by="lee"),
        site.ask("DELETE", f"/{site.sub('bob')}", by="lee"),
    )

    assert (refused.status_code, done.status_code) == (403, 204)
    assert [one["user"] for one in site.locks()["locks"]] == ["kim@shop"]


@pytest.mark.parametrize("sub", ["no-such-sub", "a" * 300, "%F0%9F%A6%8A"])
def test_who_is_not_there_has_no_lock(site: Site, sub: str) -> None:
    assert site.ask("DELETE", f"/{sub}").status_code == 404


def test_lifting_where_there_is_no_lock_changes_nothing(site: Site) -> None:
    assert site.ask("DELETE", f"/{site.sub('bob')}").status_code == 204


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "offset=-1", "offset=x"])
def test_a_page_that_cannot_be_is_refused(site: Site, query: str) -> None:
    assert site.ask(path=f"?{query}").status_code == 400


def test_locks_are_listed_a_page_at_a_time_the_one_that_lasts_longest_first(site: Site) -> None:
    site.lock("bob")
    site.clock.now += timedelta(seconds=1)
    site.lock("lee")

    pages = [site.ask(path=f"?limit=1&offset={n}").json() for n in range(2)]

    assert [one["user"] for page in pages for one in page["locks"]] == ["lee@shop", "bob@shop"]
    assert [page["total"] for page in pages] == [2, 2]


def test_who_lifted_a_lock_is_in_the_audit_log(site: Site, settings: Settings) -> None:
    site.lock("bob")
    bob = site.sub("bob")
    site.ask("DELETE", f"/{bob}")

    (record,) = [one for one in records_of(settings, "shop") if one["action"] == "user.unlocked"]
    assert record["target"] == {"kind": "user", "id": bob}
    assert record["actor"]["name"] == "kim@shop"
