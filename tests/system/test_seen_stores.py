"""What an operator sees of a user store that fails: metrics, `ostiary doctor`, and what to do next."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from tests.support.login_service import LoginService
from tests.support.ports import free_port
from tests.system.server import Server
from tests.system.waiting import until
from tests.system.world import PASSWORD, USER, Caller, LoginServices, apply, organization

from ostiary.foundation.metrics import read

FAILURES_THAT_OPEN = 5


@dataclass
class Seen:
    """A server with one worker, a store, and whoever logs in there."""

    server: Server
    service: LoginService
    caller: Caller
    metrics_port: int
    scratch: Path

    def apply(self, **options: str) -> None:
        """Apply the organization, its store with these options besides."""
        text = organization("acme", self.service.url)
        more = "".join(f"\n    {name}: {value}" for name, value in options.items())
        apply(self.server, self.scratch, text.replace("\n    timeout_ms:", f"{more}\n    timeout_ms:"))

    def page(self) -> str:
        return httpx2.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10).text

    def value(self, name: str, **labels: str) -> float | None:
        wanted = {"organization": "acme", "store": "EXTERNAL", **labels}
        for family in read(self.page()):
            for one in family.samples:
                if one.name == name and wanted.items() <= one.labels.items():
                    return one.value
        return None

    def breaker(self) -> str:
        states = ("closed", "open", "half-open")
        (now,) = [state for state in states if self.value("ostiary_user_store_breaker", state=state)]
        return now

    def doctor(self) -> str:
        return self.server.ostiary("doctor").stdout


@pytest.fixture
def seen() -> Iterator[Seen]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    services = LoginServices()
    server = Server(directory / "data")
    port = free_port()
    server.environment["OSTIARY_METRICS_PORT"] = str(port)
    try:
        service = services.start()
        server.start()
        seen = Seen(server, service, Caller(server.gateway(), "acme"), port, directory)
        seen.apply()
        yield seen
    finally:
        server.stop()
        services.close()
        shutil.rmtree(directory, ignore_errors=True)


def test_an_open_breaker_is_seen_and_closes_by_itself(seen: Seen):
    assert seen.caller.login().status_code == 200
    assert seen.breaker() == "closed"
    assert "breaker of EXTERNAL" not in seen.doctor()

    seen.service.mode = "500"
    statuses = {seen.caller.login().status_code for _ in range(FAILURES_THAT_OPEN + 2)}

    assert statuses == {503}
    assert seen.breaker() == "open"
    outages = "ostiary_user_store_outages_total"
    assert seen.value(outages, why="store") == FAILURES_THAT_OPEN
    assert seen.value(outages, why="breaker") == 2
    said = seen.doctor()
    assert "✗ user store EXTERNAL of acme" in said, said
    assert "! breaker of EXTERNAL of acme" in said, said
    assert "→ make the store answer" in said, said

    seen.service.mode = "check"
    until(lambda: seen.caller.login().status_code == 200, 10, "the probe")
    assert seen.breaker() == "closed"
    assert "breaker of EXTERNAL" not in seen.doctor()


def test_logins_and_places_are_seen_by_store_and_nobody_by_name(seen: Seen):
    seen.caller.login()
    seen.caller.login(password="a-wrong-password")
    seen.caller.login("EXTERNAL/somebody-else", "a-wrong-password")

    assert seen.value("ostiary_logins_total", result="accepted") == 1
    assert seen.value("ostiary_logins_total", result="refused") == 2
    assert seen.value("ostiary_user_store_seconds_count") == 3
    assert seen.value("ostiary_user_store_places") == 20
    assert seen.value("ostiary_user_store_places_in_use") == 0
    page = seen.page()
    assert [name for name in (USER, "somebody-else", PASSWORD) if name in page] == []


def test_how_far_people_have_moved_is_seen(seen: Seen):
    seen.service.users["early"] = PASSWORD
    seen.caller.login("early")
    assert seen.server.ostiary("users", "migration", "--org", "acme").stdout == (
        "nobody is moved away from a store: none has migrate_until\n"
    )

    until_day = datetime.now(UTC).date() + timedelta(days=59)
    seen.apply(migrate_until=until_day.isoformat())
    seen.caller.login()
    said = seen.server.ostiary("users", "migration", "--org", "acme")

    assert said.returncode == 0, said.stderr
    header, row = (line.split() for line in said.stdout.splitlines())
    assert header == ["store", "moved", "not", "moved", "days", "left", "until"]
    assert row == ["EXTERNAL", "1", "1", "60", until_day.isoformat()]
    assert "✓ migration from EXTERNAL of acme" in seen.doctor()
    assert "1 have moved, 1 have not, 60 days left" in seen.doctor()
    seen.apply(migrate_until=until_day.isoformat(), enabled="false")
    assert "! migration from EXTERNAL of acme" in seen.doctor()
