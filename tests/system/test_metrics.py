"""A scrape of the real process tree: where it is served, what is in it, what the dashboard asks for."""

import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import pytest
import yaml
from tests.house.repository_files import ROOT
from tests.support.ports import free_ports
from tests.system.server import ADMIN_PASSWORD, Server
from tests.system.waiting import until

from ostiary.foundation.metrics import read

PAGES = ("/metrics", "/metrics/gateway", "/metrics/haproxy/gateway", "/metrics/haproxy/management")
DASHBOARD = ROOT / "deploy/grafana/ostiary.json"
_NAME = re.compile(r"\b((?:ostiary|haproxy|process)_\w+)")


@dataclass
class Scraped:
    """A server with a listener for Prometheus."""

    server: Server
    port: int

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{self.port}{path}", timeout=10)

    def names(self) -> set[str]:
        """The names that can be asked for: of samples, and of families that have none yet."""
        found: set[str] = set()
        for page in PAGES:
            text = self.get(page).text
            for family in read(text):
                found |= {one.name for one in family.samples} | {family.name, f"{family.name}_total"}
                found |= {f"{family.name}_bucket"} if family.type == "histogram" else set()
        return found


@pytest.fixture(scope="module")
def scraped() -> Iterator[Scraped]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    server = Server(directory / "data", workers=2)
    (port,) = free_ports(1)
    server.environment["OSTIARY_METRICS_PORT"] = str(port)
    try:
        server.start()
        with server.gateway() as http:
            http.get("/t/nobody/orders/1.0.0")
            http.post("/token", data={"grant_type": "password"}, auth=("nobody", "nothing"))
        yield Scraped(server, port)
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_what_prometheus_reads(scraped: Scraped, page: str):
    answer = scraped.get(page)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert len(read(answer.text)) > 5


def test_it_is_on_loopback_and_nowhere_else(scraped: Scraped):
    assert scraped.server.process is not None
    bound = {
        connection.laddr.ip
        for pid in scraped.server.tree()
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == scraped.port
    }
    assert bound == {"127.0.0.1"}


def test_it_serves_nothing_else(scraped: Scraped):
    statuses = {
        path: scraped.get(path).status_code
        for path in ("/", "/own", "/oauth2/jwks", "/api/server/v1/explanations/x", "/metrics/", "/decide")
    }
    assert set(statuses.values()) == {404}, statuses
    assert httpx2.post(f"http://127.0.0.1:{scraped.port}/metrics").status_code == 405


def test_no_public_listener_serves_it_even_to_an_administrator(scraped: Scraped):
    with scraped.server.management() as management, scraped.server.gateway() as gateway:
        management.auth = ("admin", ADMIN_PASSWORD)
        statuses = {page: [http.get(page).status_code for http in (management, gateway)] for page in PAGES}

    assert statuses == {page: [404, 404] for page in PAGES}


def test_the_counts_of_all_workers_are_on_one_page(scraped: Scraped):
    up = next(one for one in read(scraped.get("/metrics").text) if one.name == "ostiary_worker_up")

    assert {one.labels["worker"]: one.value for one in up.samples} == {"0": 1, "1": 1}


def test_a_refused_call_is_counted(scraped: Scraped):
    def refusals() -> dict[str, float]:
        families = read(scraped.get("/metrics/gateway").text)
        (family,) = [one for one in families if one.name == "ostiary_gateway_refusals"]
        return {one.labels["refusal"]: one.value for one in family.samples}

    assert until(lambda: refusals().get("not_found"), what="the count") >= 1


def _asked_by_the_dashboard() -> set[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    return {
        name
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
        for name in _NAME.findall(target["expr"])
    }


def test_every_query_of_the_dashboard_names_a_metric_that_exists(scraped: Scraped):
    asked = _asked_by_the_dashboard()

    assert len(asked) > 15
    assert asked - scraped.names() == set()


def test_everything_told_of_user_stores_is_on_the_dashboard(scraped: Scraped):
    told = {one.name for one in read(scraped.get("/metrics").text) if "user_store" in one.name}

    asked = {re.sub(r"_(total|bucket)$", "", name) for name in _asked_by_the_dashboard()}
    assert len(told) == 5
    assert told - asked == set()


def test_the_panels_of_the_dashboard_do_not_overlap():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    places = [
        (x, y)
        for one in (panel["gridPos"] for panel in panels)
        for x in range(one["x"], one["x"] + one["w"])
        for y in range(one["y"], one["y"] + one["h"])
    ]

    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_scrape_example_asks_for_every_page():
    example = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())

    assert {job["metrics_path"] for job in example["scrape_configs"]} == set(PAGES)


def test_a_server_that_is_up_is_well(scraped: Scraped):
    said = scraped.server.ostiary("doctor")

    assert said.returncode == 0, said.stdout + said.stderr
    for what in ("management listener", "gateway listener", "agent", "gateway node embedded", "database"):
        assert f"✓ {what}" in said.stdout, said.stdout


def test_a_node_tells_of_reloads_quarantine_streams_and_its_clock(scraped: Scraped):
    def told() -> dict[str, float]:
        families = read(scraped.get("/metrics/gateway").text)
        return {
            one.name.removeprefix("ostiary_agent_"): one.samples[0].value for one in families if one.samples
        }

    before = told()
    os.kill(scraped.server.find("haproxy", "gateway.cfg"), signal.SIGUSR2)
    after = until(lambda: told() if told().get("haproxy_reloads") == before["haproxy_reloads"] + 1 else None)

    assert after["haproxy_reloads_failed"] == 0
    assert after["haproxy_worker_seconds"] < 10
    assert (after["backends_quarantined"], after["streams"]) == (0, 0)
    assert abs(after["clock_behind_seconds"]) < 2
