"""`ostiary doctor`: each thing that can be wrong, made wrong; every failure says what to do."""

import os
import shutil
import socket
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.login_service import SERVICE_PASSWORD, SERVICE_USER, LoginService
from tests.support.ports import free_port

from ostiary.app import Settings, load_settings, migrate
from ostiary.cli.certificates import Authority
from ostiary.cli.data_directory import DataDirectory
from ostiary.cli.doctor import examine, machine, state, table
from ostiary.cli.doctor import stores as user_stores
from ostiary.cli.doctor.findings import Finding
from ostiary.foundation.clock import utc_now
from ostiary.foundation.http_client import LOOPBACK, OutboundPolicy
from ostiary.foundation.secrets import SecretBox, load_or_create_key
from ostiary.gateway import NodeRecord
from ostiary.identity import Migration, PasswordHasher, StoreOptions, UserStores, UserStoreSettings

NOW = datetime(2031, 5, 1, tzinfo=UTC)
STORE = UserStoreSettings(
    id="s",
    organization_id="o",
    name="EXTERNAL",
    type="rest",
    position=1,
    revision=1,
    settings={"url": "http://127.0.0.1:9"},
    options=StoreOptions(timeout_ms=300),
)
NODE = NodeRecord("n", "edge", rotation=0, acknowledged=7, seen_at=NOW)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation that was started once, to be copied."""
    directory = DataDirectory(tmp_path_factory.mktemp("made") / "data")
    directory.make()
    load_or_create_key(directory.secret_key)
    Authority(directory.tls).ensure(["localhost"], utc_now())
    migrate(f"sqlite:///{directory.path / 'ostiary.db'}")
    return directory.path


@pytest.fixture
def settings(made: Path, tmp_path: Path) -> Settings:
    shutil.copytree(made, tmp_path / "data", copy_function=shutil.copy2)
    ports = {"management_port": free_port(), "gateway_port": free_port()}
    return load_settings(None, {"data_dir": tmp_path / "data", **ports})


def failures(found: Sequence[Finding], states: tuple[str, ...] = ("fail",)) -> dict[str, str]:
    bad = [one for one in found if one.state in states]
    assert all(one.do for one in found if one.state != "ok")
    return {one.what: one.says for one in bad}


def test_a_well_installation_has_no_failure_while_it_is_down(settings: Settings):
    found = list(examine(settings))

    assert failures(found) == {}
    whats = {one.what for one in found}
    assert {"ostiary", "HAProxy", "data directory", "disk", "database", "clock", "server"} <= whats
    assert table(found)[-1].plain.endswith(" 0 wrong")


def test_a_directory_that_is_not_there_is_said_and_not_made(tmp_path: Path):
    found = list(examine(load_settings(None, {"data_dir": tmp_path / "nothing"})))

    assert "data directory" in failures(found)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("name", ["secret.key", "ostiary.db", "tls"])
def test_files_others_can_read_fail(settings: Settings, name: str):
    (settings.data_dir / name).chmod(0o755)

    assert str(settings.data_dir / name) in failures(list(examine(settings)))["data directory"]


def test_a_damaged_key_fails(settings: Settings):
    (settings.data_dir / "secret.key").write_bytes(b"")

    assert "secret.key" in failures(list(examine(settings)))


def test_a_missing_key_fails(settings: Settings):
    (settings.data_dir / "secret.key").unlink()

    assert failures(list(examine(settings)))["secret.key"] == "it is missing"
    assert not (settings.data_dir / "secret.key").exists()


def test_a_missing_database_fails_and_is_not_made(settings: Settings):
    (settings.data_dir / "ostiary.db").unlink()

    assert "is not there" in failures(list(examine(settings)))["database"]
    assert not (settings.data_dir / "ostiary.db").exists()


def test_a_damaged_database_fails(settings: Settings):
    (settings.data_dir / "ostiary.db").write_bytes(b"not a database, whatever it is called" * 100)

    assert "database" in failures(list(examine(settings)))


@pytest.mark.parametrize("revision", ["0001", "9999"])
def test_another_versions_schema_fails(settings: Settings, revision: str):
    with sqlite3.connect(settings.data_dir / "ostiary.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))

    assert revision in failures(list(examine(settings)))["database"]


def test_a_database_server_that_is_gone_fails(settings: Settings):
    gone = f"postgresql+psycopg://somebody:a-password-of-it@127.0.0.1:{free_port()}/x"
    away = load_settings(None, {"data_dir": settings.data_dir, "database_url": gone})

    said = failures(list(examine(away)))["database"]
    assert "a-password-of-it" not in said


def test_an_expired_certificate_fails_and_one_about_to_warns(settings: Settings):
    directory = DataDirectory(settings.data_dir)

    later = list(machine.certificates(directory, utc_now() + timedelta(days=4000)))
    soon = list(machine.certificates(directory, utc_now() + timedelta(days=3640)))
    earlier = list(machine.certificates(directory, utc_now() - timedelta(days=1)))

    assert failures(later).keys() == {"certificate ca.pem", "certificate server.pem"}
    assert "certificate ca.pem" in failures(soon, ("warn",))
    assert "it begins on" in failures(earlier)["certificate server.pem"]


def test_a_damaged_certificate_fails(settings: Settings):
    (settings.data_dir / "tls" / "server.pem").write_text("-----BEGIN CERTIFICATE-----\nxxxx\n")

    assert "certificate server.pem" in failures(list(examine(settings)))


def test_a_taken_port_fails(settings: Settings):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", settings.gateway_port))
        taken.listen()

        assert failures(list(examine(settings))).keys() == {f"port {settings.gateway_port}"}


def test_a_configuration_haproxy_refuses_fails(settings: Settings):
    (settings.data_dir / "run" / "gateway.cfg").write_text("frontend x\n  nonsense\n")

    assert "gateway.cfg" in failures(list(examine(settings)))


def test_no_haproxy_fails(settings: Settings):
    without = load_settings(None, {"data_dir": settings.data_dir, "haproxy": "/nowhere/haproxy"})

    assert "HAProxy" in failures(list(examine(without)))


@pytest.mark.parametrize(("free", "judged"), [(2**20, "fail"), (2**29, "warn"), (2**32, "ok")])
def test_a_full_disk_fails(free: int, judged: str):
    assert machine.disk_finding(free, 2**40).state == judged


def test_a_clock_behind_the_database_fails():
    known = state.Known()
    known.newest = NOW + timedelta(hours=1)

    assert failures(list(state.clock(known, NOW))).keys() == {"clock"}
    assert failures(list(state.clock(known, NOW + timedelta(hours=2)))) == {}


@pytest.mark.parametrize(
    ("node", "judged"),
    [
        (NODE, "ok"),
        (replace(NODE, seen_at=NOW - timedelta(minutes=5)), "fail"),
        (replace(NODE, acknowledged=5), "warn"),
        (replace(NODE, seen_at=None), "warn"),
    ],
)
def test_a_node_that_is_silent_or_behind_is_said(node: NodeRecord, judged: str):
    known = state.Known()
    known.nodes, known.latest = [node], 7

    (found,) = state.nodes(known, NOW, is_up=True)
    assert (found.what, found.state, bool(found.do)) == ("gateway node edge", judged, judged != "ok")


@pytest.mark.parametrize(
    ("changes", "judged"),
    [
        ({}, "ok"),
        ({"ready": 0.0}, "fail"),
        ({"haproxy_workers": 0.0}, "fail"),
        ({"contact_seconds": 90.0}, "warn"),
    ],
)
def test_an_agent_that_is_not_well_is_said(changes: dict[str, float], judged: str):
    values = {"ready": 1.0, "haproxy_workers": 1.0, "contact_seconds": 1.0, "plan_number": 7.0, **changes}

    found = state.agent_finding({f"ostiary_agent_{name}": value for name, value in values.items()})
    assert (found.state, bool(found.do)) == (judged, judged != "ok")


async def test_an_agent_that_does_not_answer_fails(tmp_path: Path):
    assert failures(await state.agent(tmp_path / "agent.sock")).keys() == {"agent"}


@pytest.fixture
async def stores() -> AsyncIterator[UserStores]:
    hasher = PasswordHasher()
    yield UserStores(SecretBox(b"k" * 32), OutboundPolicy(LOOPBACK), hasher)
    await hasher.close()


@pytest.fixture
async def service() -> AsyncIterator[LoginService]:
    started = await LoginService({"testuser": "secret"}).start()
    yield started
    await started.stop()


def at(service: LoginService) -> UserStoreSettings:
    """A store there, with our password for it sealed."""
    settings = {"url": service.url, "auth": {"basic": {"username": SERVICE_USER}}}
    sealed = SecretBox(b"k" * 32).seal(SERVICE_PASSWORD, STORE.secret_context("auth.basic.password"))
    return replace(STORE, settings=settings, sealed={"auth.basic.password": sealed})


async def test_a_store_that_refuses_somebody_made_up_is_well(service: LoginService, stores: UserStores):
    found = await user_stores.store_finding("acme", at(service), stores)

    assert (found.state, found.says) == ("ok", "it can be asked, and refuses somebody made up")


async def test_a_store_that_accepts_anybody_fails(service: LoginService, stores: UserStores):
    service.mode = "ok"

    found = await user_stores.store_finding("acme", at(service), stores)

    assert (found.state, "accepts anybody" in found.says, bool(found.do)) == ("fail", True, True)


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("401", "it does not know us"),
        ("500", "status_500"),
        ("html", "its answer has not the agreed form"),
        ("hang", "it did not answer in time"),
    ],
)
async def test_a_store_that_answers_wrongly_fails(
    service: LoginService, stores: UserStores, mode: str, says: str
):
    service.mode = mode

    found = await user_stores.store_finding("acme", at(service), stores)

    assert (found.state, bool(found.do)) == ("fail", True)
    assert says in found.says


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:9/login", "nobody answers"),
        ("http://192.0.2.1/login", "is not protected"),
        ("https://169.254.169.254/login", "is never reached from here"),
        ("https://no-such-host.invalid/login", "nobody answers"),
    ],
)
async def test_a_store_that_cannot_be_reached_fails(stores: UserStores, url: str, says: str):
    found = await user_stores.store_finding("acme", replace(STORE, settings={"url": url}), stores)

    assert (found.what, found.state, bool(found.do)) == ("user store EXTERNAL of acme", "fail", True)
    assert says in found.says


async def test_a_store_that_is_switched_off_is_left_alone(stores: UserStores):
    off = replace(STORE, options=StoreOptions(enabled=False))

    assert (await user_stores.store_finding("acme", off, stores)).says == "it is switched off"


@pytest.mark.parametrize(
    ("workers", "is_well", "says", "advice"),
    [
        ({"closed": 2}, True, "", ""),
        ({"closed": 1, "open": 1}, True, "open at 1, half-open at 0 of 2 workers", "the store answers now"),
        ({"closed": 1, "open": 1}, False, "open at 1, half-open at 0 of 2 workers", "make the store answer"),
        ({"half-open": 2}, False, "open at 0, half-open at 2 of 2 workers", "make the store answer"),
        ({"half-open": 2}, True, "", ""),
        ({}, False, "", ""),
    ],
)
def test_an_open_breaker_is_said_with_what_to_do_next(
    workers: dict[str, int], is_well: bool, says: str, advice: str
):
    found = user_stores.breaker_findings("acme", STORE, workers, is_well=is_well)

    assert [(one.what, one.state, one.says) for one in found] == (
        [("breaker of EXTERNAL of acme", "warn", says)] if says else []
    )
    assert all(one.do.startswith(advice) for one in found)


@pytest.mark.parametrize(
    ("days_left", "moved", "not_moved", "judged", "says"),
    [
        (30, 5, 3, "ok", "5 have moved, 3 have not, 30 days left"),
        (14, 5, 3, "warn", "5 have moved, 3 have not, 14 days left"),
        (1, 5, 3, "warn", "5 have moved, 3 have not, today is the last day"),
        (0, 5, 3, "warn", "5 have moved, 3 have not, the store is not asked any more"),
        (0, 5, 0, "ok", "5 have moved, 0 have not, the store is not asked any more"),
        (
            14,
            5,
            0,
            "ok",
            "5 have moved, 0 have not, 14 days left; everybody known has, `enabled: false` may come",
        ),
        (14, 0, 0, "ok", "0 have moved, 0 have not, 14 days left"),
    ],
)
def test_a_migration_that_would_leave_people_behind_is_said(
    days_left: int, moved: int, not_moved: int, judged: str, says: str
):
    migration = Migration("LEGACY", date(2027, 6, 30), days_left, moved, not_moved, moved + not_moved, None)

    found = user_stores.migration_finding("acme", migration)

    assert (found.what, found.state, found.says) == ("migration from LEGACY of acme", judged, says)
    assert bool(found.do) == (judged != "ok")


async def test_a_store_that_is_not_asked_any_more_need_not_answer(stores: UserStores):
    """The day is over and its service unplugged: its people log in with the kept passwords."""
    unplugged = replace(STORE, options=StoreOptions(timeout_ms=300, migrate_until=date(2020, 1, 1)))

    found = await user_stores.store_finding("acme", unplugged, stores)

    assert (found.state, found.says) == ("ok", "it is not asked any more: migrate_until is over")


def test_a_check_that_breaks_is_a_finding(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "getuid", lambda: 1 / 0)

    assert "could not be checked" in failures(list(examine(settings)))["data directory"]
