"""What does size cost: 100 to 10,000 APIs, 1,000 to 100,000 applications, 10,000 to 1,000,000 subscriptions?

Rows are written straight into the database of a stopped server, as copies of what an organization file made.
Then it is started with nothing on the gateway node, changed, reloaded, called. What does not end in time is
written down as not done.
"""

import argparse
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import orjson
from tests.system.waiting import until

from benchmarks import load, peers
from benchmarks.gateway import Contestant, measure
from benchmarks.measuring import cpu_seconds, keep, median, resident_bytes, rounds, table
from benchmarks.product import ORGANIZATION, PATH, Product, organization
from ostiary.foundation.identifiers import new_id

SIZES = {
    "small": (100, 1_000, 10_000),
    "medium": (1_000, 10_000, 100_000),
    "large": (10_000, 100_000, 1_000_000),
}
CALLED = 2_000
"""Tokens, each of another application."""
NEAR = 100
"""APIs that are called at every size alike; calls to as many as there are, are measured besides."""


def rows_of(database: sqlite3.Connection, name: str, where: str = "1") -> dict[str, Any]:
    """One row as it is, to be copied."""
    database.row_factory = sqlite3.Row
    return dict(database.execute(f"SELECT * FROM {name} WHERE {where} LIMIT 1").fetchone())


def insert(
    database: sqlite3.Connection, name: str, sample: dict[str, Any], rows: Iterator[dict[str, Any]]
) -> None:
    """Write copies of a row that differ in some columns."""
    columns = ", ".join(f'"{column}"' for column in sample)
    marks = ", ".join(f":{column}" for column in sample)
    database.executemany(f"INSERT INTO {name} ({columns}) VALUES ({marks})", (sample | row for row in rows))


def seed(
    database: sqlite3.Connection, apis: int, applications: int, subscriptions: int, port: int
) -> dict[str, list[Any]]:
    """Write the rows; returns (client id, API's path) of some subscriptions, to few APIs and to any."""
    api = rows_of(database, "apis", "name = 'Api0'")
    application = rows_of(database, "applications", "name = 'caller'")
    client = rows_of(database, "clients", f"client_id = '{ORGANIZATION}-caller'")
    key = rows_of(database, "application_keys", f"client_id = '{ORGANIZATION}-caller'")
    subscription = rows_of(database, "subscriptions", f"application_id = '{application['id']}'")
    api_ids = [new_id() for _ in range(apis)]
    application_ids = [new_id() for _ in range(applications)]
    backend = f'{{"production": ["http://127.0.2.1:{port}"], "sandbox": []}}'

    def an_api(number: int) -> dict[str, Any]:
        context = f"/grown{number}"
        named = {"name": f"Grown{number}", "context": context, "base_path": f"{context}/1.0.0"}
        return named | {"id": api_ids[number], "backend": backend}

    insert(database, "apis", api, (an_api(n) for n in range(apis)))
    named = ({"id": id, "name": f"grown{n}"} for n, id in enumerate(application_ids))
    insert(database, "applications", application, named)
    insert(database, "clients", client, ({"client_id": f"grown-{n}"} for n in range(applications)))
    keys = ({"application_id": id, "client_id": f"grown-{n}"} for n, id in enumerate(application_ids))
    insert(database, "application_keys", key, keys)
    chosen = list(_pairs(apis, applications, subscriptions // applications))
    made = ({"id": new_id(), "application_id": application_ids[a], "api_id": api_ids[b]} for a, b in chosen)
    insert(database, "subscriptions", subscription, made)
    database.commit()
    found = {"near": [pair for pair in chosen if pair[1] < NEAR], "far": chosen}
    return {
        name: [(f"grown-{a}", f"{PATH}/grown{b}/1.0.0/items/1") for a, b in random.sample(pairs, CALLED)]
        for name, pairs in found.items()
    }


def _pairs(apis: int, applications: int, each: int) -> Iterator[tuple[int, int]]:
    """Each application subscribes to a few APIs; some APIs are more popular than others."""
    for application in range(applications):
        for api in random.sample(range(apis), each):
            yield application, api


class Grown:
    """One installation at one size."""

    def __init__(self, folder: Path, size: tuple[int, int, int], within: float) -> None:
        self.folder = folder
        self.size = size
        self.within = within
        self.product = Product(folder, OSTIARY_GATEWAY__DECISION_LIFETIME="7200")
        self.called: dict[str, list[Any]] = {}

    def prepare(self, port: int) -> dict[str, Any]:
        """An organization by its file, the rest by hand; started with an empty node."""
        served = self.product.start()
        served.apply(organization(port))
        served.claims()
        served.server.terminate()
        with served.database() as database:
            self.called = seed(database, *self.size, port)
        for file in (served.server.directory / "node").glob("node.db*"):
            file.unlink()
        return {"start_seconds": self._start()}

    def _start(self) -> float:
        server = self.product.server
        started = time.monotonic()
        process = server.launch()
        until(lambda: server.ready() or process.poll() is not None, self.within, "ready")
        if process.poll() is not None:
            raise RuntimeError(server.said()[-2000:])
        return time.monotonic() - started

    def restarted(self) -> dict[str, Any]:
        """Start again with the plan on the node's disk."""
        self.product.server.terminate()
        return {"restart_seconds": self._start(), **self.memory()}

    def plan(self) -> dict[str, Any]:
        """Ask for the whole plan as a node does, page by page."""
        directory = self.product.server.directory
        credential = (directory / "node" / "credential").read_text().strip()
        transport = httpx2.HTTPTransport(uds=str(directory / "run" / "worker-0.sock"))
        worker = {self.product.server.find("ostiary.cli.worker")}
        before, started = cpu_seconds(worker), time.monotonic()
        sizes: list[int] = []
        page: str | None = ""
        headers = {"Authorization": f"Bearer {credential}"}
        with httpx2.Client(transport=transport, timeout=self.within, headers=headers) as http:
            while page is not None:
                asked = {"after": "0", "page": page}
                answer = http.get("http://worker/internal/gateway/v1/plan", params=asked)
                answer.raise_for_status()
                sizes.append(len(answer.content))
                page = orjson.loads(answer.content).get("next_page")
        return {
            "plan_megabytes": sum(sizes) / 1e6,
            "plan_pages": len(sizes),
            "plan_largest_page_megabytes": max(sizes) / 1e6,
            "plan_seconds": time.monotonic() - started,
            "plan_cpu_seconds": cpu_seconds(worker) - before,
            "worker_megabytes_after_plan": resident_bytes(worker) / 1e6,
        }

    def memory(self) -> dict[str, Any]:
        """What each part holds."""
        served = self.product
        return {
            "agent_megabytes": resident_bytes({served.agent()}) / 1e6,
            "agent_cpu_seconds": cpu_seconds({served.agent()}),
            "haproxy_megabytes": resident_bytes(served.haproxy()) / 1e6,
            "worker_megabytes": resident_bytes({served.server.find("ostiary.cli.worker")}) / 1e6,
        }

    def changes(self, times: int) -> dict[str, Any]:
        """Block and unblock a subscription: from the answer of the change to its effect at the gateway."""
        client, path = self.called["far"][0]
        (token,) = self.product.mint(1, client_id=client, sub=client)
        until(lambda: self.product.call(path, token).status_code == 200, self.within, "a call")
        with self.product.database() as database:
            query = """SELECT s.id FROM subscriptions s JOIN application_keys k USING (application_id)
              JOIN apis a ON a.id = s.api_id WHERE k.client_id = ? AND a.context = ?"""
            context = "/" + path.split("/")[3]
            (id,) = database.execute(query, (client, context)).fetchone()
        agent = {self.product.agent()}
        before, taken = cpu_seconds(agent), []
        for number in range(times):
            state, status = (("BLOCKED", 401), ("UNBLOCKED", 200))[number % 2]
            taken.append(self._change(id, state, path, token, status))
        return {
            "change_seconds": median(taken),
            "change_seconds_worst": max(taken),
            "change_agent_cpu_seconds": (cpu_seconds(agent) - before) / times,
        }

    def _change(self, id: str, state: str, path: str, token: str, status: int) -> float:
        socket = self.product.server.directory / "run" / "admin-0.sock"
        with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(socket)), timeout=self.within) as http:
            url = f"http://admin/t/{ORGANIZATION}/api/apim/v1/subscriptions/{id}"
            http.patch(url, json={"state": state}).raise_for_status()
        started = time.monotonic()
        until(lambda: self.product.call(path, token).status_code == status, self.within, f"{state} in effect")
        return time.monotonic() - started

    def reload(self) -> dict[str, Any]:
        """Reload HAProxy: until a new worker has everything."""
        server, served = self.product.server, self.product
        supplied = server.said().count("haproxy_worker_supplied")
        started = time.monotonic()
        os.kill(served.haproxy_master(), signal.SIGUSR2)
        until(lambda: server.said().count("haproxy_worker_supplied") > supplied, self.within, "a new worker")
        return {"reload_seconds": time.monotonic() - started}

    def _stored(self, which: str) -> tuple[Path, float]:
        """Call once with each token, so that its decision is stored; the processor time of one of these."""
        called = self.called[which]
        tokens = [self.product.mint(1, client_id=client, sub=client)[0] for client, _ in called]
        lines = [load.request(path, token) for (_, path), token in zip(called, tokens, strict=True)]
        requests = load.write(self.folder / which, lines)
        before = cpu_seconds(self.product.gateway_processes())
        first = load.each_once(self.product.server.http_port, requests)
        missed = cpu_seconds(self.product.gateway_processes()) - before
        if set(first.statuses) != {200}:
            raise RuntimeError(str(first))
        return requests, missed / first.calls

    def calls(self, bare: peers.Peer, times: int, seconds: float) -> dict[str, Any]:
        """What a call costs whose decision is stored: at the same few APIs, and at any of all."""
        near, missed = self._stored("near")
        far, _ = self._stored("far")
        ours = self.product.gateway_processes
        contestants = {
            "bare": Contestant("bare", bare.url(), near, bare.pids),
            "near": Contestant("near", self.product.url, near, ours),
            "far": Contestant("far", self.product.url, far, ours),
        }
        found = rounds(
            {name: lambda one=one: measure(one, seconds) for name, one in contestants.items()}, times
        )
        cpu = {name: median(one.micros for one in several) for name, several in found.items()}
        return {
            "miss_cpu_ms": 1000 * missed,
            "call_cpu_micros": cpu["near"],
            "call_ratio": cpu["near"] / cpu["bare"],
            "call_ratio_at_all_apis": cpu["far"] / cpu["bare"],
        }


def grow(name: str, options: argparse.Namespace, backend: peers.Peer, bare: peers.Peer) -> dict[str, Any]:
    """Measure one size; what fails is named in the figures."""
    folder = Path(tempfile.mkdtemp(prefix="ostiary-bench-"))
    grown = Grown(folder, SIZES[name], options.within)
    figures: dict[str, Any] = dict(zip(("apis", "applications", "subscriptions"), grown.size, strict=True))
    steps = {
        "start": lambda: grown.prepare(backend.ports["port"]),
        "memory": grown.memory,
        "plan": grown.plan,
        "changes": lambda: grown.changes(options.changes),
        "calls": lambda: grown.calls(bare, options.rounds, options.seconds),
        "reload": grown.reload,
        "restart": grown.restarted,
    }
    try:
        for step, take in steps.items():
            started = time.monotonic()
            try:
                figures |= take()
            except (AssertionError, RuntimeError, httpx2.HTTPError, OSError) as problem:
                figures[f"{step}_not_done"] = str(problem)[-300:]
                if step == "start":
                    break
            print(f"{name}: {step} {time.monotonic() - started:.1f} s", flush=True)
    finally:
        with suppress(AssertionError):
            grown.product.server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}


def main(arguments: list[str] | None = None) -> None:
    """Measure the sizes asked for, print, keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["small", "medium"])
    parser.add_argument("--within", type=float, default=120, help="seconds for any one thing")
    parser.add_argument("--changes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    options = parser.parse_args(arguments)
    load.require_wrk()
    random.seed(1)
    with peers.backend() as backend, peers.bare_haproxy(backend.ports["port"], 1) as bare:
        figures = {name: grow(name, options, backend, bare) for name in options.sizes}
    names = list(dict.fromkeys(key for one in figures.values() for key in one))
    rows = [(name, *(one.get(name, "") for one in figures.values())) for name in names]
    print(table(("growth", *figures), rows), flush=True)
    keep("growth", figures)


if __name__ == "__main__":
    main(sys.argv[1:])
