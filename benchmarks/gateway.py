"""What does a call through the gateway cost, beside bare HAProxy, Envoy and Traefik?

Processor time per call, closed loop, at 100,000 stored decisions; the 99th percentile there and at an equal
rate offered to each; and what a reload during the load does. Every contestant that checks is first shown to
refuse what the gateway refuses.
"""

import argparse
import base64
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from tests.system.waiting import until

from benchmarks import load, peers
from benchmarks.measuring import cpu_seconds, keep, median, rounds, spread, table
from benchmarks.product import APIS, ORGANIZATION, PATH, SCOPE, Product, organization, product

API = f"{PATH}/api0/1.0.0"
BARE = "HAProxy, bare"
ENVOY_BARE = "Envoy, bare"
OURS = "ours, JWT"


@dataclass(frozen=True, slots=True)
class Contestant:
    """Somebody to be measured."""

    name: str
    url: str
    requests: Path
    pids: Callable[[], set[int]]
    and_also: Callable[[], set[int]] | None = None
    """Processes that take part without carrying calls; counted apart."""


@dataclass(frozen=True, slots=True)
class Round:
    """One contestant in one round."""

    micros: float
    micros_with_all: float
    load: load.Load


def measure(one: Contestant, seconds: float, **how: Any) -> Round:
    """Load one contestant and divide what its processes used by the calls they carried."""
    also = one.and_also or set
    before, before_all = cpu_seconds(one.pids()), cpu_seconds(one.pids() | also())
    done = load.run(one.url, one.requests, seconds, **how)
    after, after_all = cpu_seconds(one.pids()), cpu_seconds(one.pids() | also())
    if done.refused or done.failed or not done.calls:
        raise RuntimeError(f"{one.name}: {done}: a refused call is cheaper and must not count")
    scale = 1e6 / done.calls
    return Round((after - before) * scale, (after_all - before_all) * scale, done)


class Gateways:
    """Everybody, started, with their requests."""

    def __init__(self, stack: ExitStack, stored: int, rotating: int) -> None:
        self.backend = stack.enter_context(peers.backend())
        port = self.backend.ports["port"]
        self.product = stack.enter_context(
            product(OSTIARY_GATEWAY__DECISION_LIFETIME="7200", OSTIARY_GATEWAY__MAX_DECISIONS="140000")
        )
        self.product.apply(organization(port))
        self.product.once_published(f"{API}/items/1")
        self.bare = stack.enter_context(peers.bare_haproxy(port, APIS))
        with self.product.server.management() as http:
            jwks = http.get(f"/t/{ORGANIZATION}/oauth2/jwks").json()
        claims = self.product.claims()
        said = {"issuer": claims["iss"], "audience": claims["aud"], "scope": SCOPE}
        kid, _ = self.product.key()
        key = next(one for one in jwks["keys"] if one["kid"] == kid)
        self.authorizer = stack.enter_context(peers.authorizer(key, **said))
        self.envoy = stack.enter_context(
            peers.envoy(port, {"keys": [key]}, prefix=API, tokens=2 * rotating, **said)
        )
        asked = self.authorizer.ports["port"]
        self.traefik = stack.enter_context(peers.traefik(port, asked, prefix=API, limit=10**9))
        self.limited_traefik = stack.enter_context(peers.traefik(port, asked, prefix=API, limit=5))
        self._requests(stack.enter_context(peers.scratch()), stored, rotating)

    def _requests(self, folder: Path, stored: int, rotating: int) -> None:
        tokens = self.product.mint(stored)
        opaque = self.product.mint_opaque(rotating)
        every = [load.request(f"{PATH}/api{n % APIS}/1.0.0/items/{n}", t) for n, t in enumerate(tokens)]
        one = [load.request(f"{API}/items/{n}", token) for n, token in enumerate(tokens[:rotating])]
        wide = [
            load.request(f"{PATH}/wide/1.0.0/r{1 + n % 199}/{n}/parts", token)
            for n, token in enumerate(tokens[:rotating])
        ]
        hidden = [load.request(f"{API}/items/{n}", token) for n, token in enumerate(opaque)]
        few = min(rotating, 100)  # an application has no more API keys
        limited = [
            load.request(f"{PATH}/limited/1.0.0/items/{n}", token)
            for n, token in enumerate(self.product.mint(few, "limited"))
        ]
        keyed = [
            load.request(f"{PATH}/keyed/1.0.0/items/{n}", apikey=key)
            for n, key in enumerate(self.product.make_api_keys(few))
        ]
        step = max(1, stored // rotating)
        self.every = load.write(folder / "every", every)
        self.spread = load.write(folder / "spread", [every[n * step + n % step] for n in range(rotating)])
        self.one = load.write(folder / "one", one)
        self.wide = load.write(folder / "wide", wide)
        self.opaque = load.write(folder / "opaque", hidden)
        self.limited = load.write(folder / "limited", limited)
        self.keyed = load.write(folder / "keyed", keyed)

    def contestants(self) -> list[Contestant]:
        """Everybody in the order of the first round."""
        ours, bare = self.product, self.bare
        mine = {"pids": ours.gateway_processes, "and_also": ours.all_processes}
        tls = f"https://127.0.0.1:{bare.ports['tls_port']}"
        return [
            Contestant(BARE, bare.url(), self.one, bare.pids),
            Contestant("HAProxy, bare, 200 backends", bare.url("many_port"), self.spread, bare.pids),
            Contestant("HAProxy, bare, TLS", tls, self.one, bare.pids),
            Contestant(OURS, ours.url, self.one, **mine),
            Contestant("ours, opaque token", ours.url, self.opaque, **mine),
            Contestant("ours, API key", ours.url, self.keyed, **mine),
            Contestant("ours, JWT, three limits", ours.url, self.limited, **mine),
            Contestant("ours, JWT, 200 resources", ours.url, self.wide, **mine),
            Contestant("ours, JWT, 200 backends", ours.url, self.spread, **mine),
            Contestant("ours, JWT, TLS", ours.tls_url, self.one, **mine),
            Contestant(ENVOY_BARE, self.envoy.url("bare_port"), self.one, self.envoy.pids),
            Contestant("Envoy, same checks", self.envoy.url(), self.one, self.envoy.pids),
            Contestant("Traefik, bare", self.traefik.url("bare_port"), self.one, self.traefik.pids),
            Contestant(
                "Traefik, same checks",
                self.traefik.url(),
                self.one,
                self.traefik.pids,
                and_also=self.authorizer.pids,
            ),
        ]


def refusals(gateways: Gateways) -> list[tuple[str, ...]]:
    """Show that everybody who checks refuses what ours refuses; a difference ends the run."""
    ours = gateways.product
    (good,) = ours.mint(1)
    (expired,) = ours.mint(1, exp=int(time.time()) - 600)  # Envoy allows for 60 s of skew
    (narrow,) = ours.mint(1, scope="default")
    (foreign,) = ours.mint(1, aud="https://elsewhere.example/gateway")
    tiny = ours.token("tiny")
    head, payload, signature = good.split(".")
    forged_payload = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) | {
        "sub": "root"
    }
    forged = base64.urlsafe_b64encode(json.dumps(forged_payload).encode()).rstrip(b"=").decode()
    cases: list[tuple[str, str | None, int]] = [
        ("good", good, 200),
        ("no token", None, 401),
        ("bad signature", f"{head}.{forged}.{signature}", 401),
        ("expired", expired, 401),
        ("other audience", foreign, 401),
        ("without the scope", narrow, 403),
    ]
    urls = {"ours": ours.url, "Envoy": gateways.envoy.url(), "Traefik": gateways.traefik.url()}
    rows = [("wanted", *(str(status) for _, _, status in cases), "429")]
    limited = urls | {"Traefik": gateways.limited_traefik.url()}
    for name, url in urls.items():
        said = [_call(url, token).status_code for _, token, _ in cases]
        last = [_call(limited[name], tiny).status_code for _ in range(8)]
        rows.append((name, *map(str, said), f"{last[-1]} after {last.count(200)}"))
        alike = all(_alike(is_, wanted) for is_, (_, _, wanted) in zip(said, cases, strict=True))
        if not alike or last[-1] != 429 or last.count(200) != 5:
            raise RuntimeError(f"{name} does not check what is to be measured: {said} {last}")
        _require_statement(name, _call(url, good, "/items/echo").text)
    return [("", *(name for name, _, _ in cases), "over the limit"), *rows]


def _alike(said: int, wanted: int) -> bool:
    """Envoy says 403 of a token for another audience, where RFC 6750 §3.1 says 401: refused is refused."""
    return said == wanted or {said, wanted} == {401, 403}


def _call(url: str, token: str | None, path: str = "/items/1") -> httpx2.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx2.get(url + API + path, headers=headers, timeout=5)


def _require_statement(name: str, echoed: str) -> None:
    """The backend is told who calls, and not given the token."""
    told, _, authorization = echoed.partition("|")
    if len(told) < 100 or authorization:
        raise RuntimeError(f"{name}: the backend got {echoed!r}")


def fill(gateways: Gateways) -> dict[str, Any]:
    """Call with every token once, so that its decision is stored; says what a miss cost."""
    ours = gateways.product
    before = cpu_seconds(ours.gateway_processes())
    done = load.each_once(ours.server.http_port, gateways.every)
    used = cpu_seconds(ours.gateway_processes()) - before
    if set(done.statuses) - {200, 503} or done.statuses[503] > done.calls / 100:
        raise RuntimeError(f"filling: {done}")
    for requests in (
        gateways.one,
        gateways.wide,
        gateways.opaque,
        gateways.spread,
        gateways.limited,
        gateways.keyed,
    ):
        once = [load.each_once(ours.server.http_port, requests) for _ in range(2)]
        if set(once[-1].statuses) != {200}:
            raise RuntimeError(f"filling: {once}")
    return {
        "calls": done.calls,
        "cpu_ms_each": round(1000 * used / done.calls, 3),
        "answered_503": done.statuses[503],
        "seconds": round(done.seconds),
    }


def reload(gateways: Gateways, seconds: float) -> dict[str, Any]:
    """Reload the gateway's HAProxy in the middle of the load."""
    ours = gateways.product
    master = ours.haproxy_master()
    workers = ours.haproxy()
    before = cpu_seconds(ours.gateway_processes())
    timer = threading.Timer(seconds / 3, os.kill, (master, signal.SIGUSR2))
    timer.start()
    done = load.run(ours.url, gateways.one, seconds)
    timer.join()
    until(lambda: ours.haproxy() - workers, 10, "a new worker")
    used = cpu_seconds(ours.gateway_processes()) - before
    found = {
        "calls": done.calls,
        "refused": done.refused,
        "failed": done.failed,
        "p99_ms": done.p99_ms,
        "cpu_micros": 1e6 * used / done.calls,
    }
    until(lambda: _settled(ours, gateways), 60, "the decisions in the new worker")
    return found


def _settled(ours: Product, gateways: Gateways) -> bool:
    """Whether calls are answered from stored decisions again."""
    before = cpu_seconds({ours.agent()})
    done = load.run(ours.url, gateways.one, 1)
    return cpu_seconds({ours.agent()}) - before < 0.1 and not done.refused


def summary(name: str, found: list[Round], paced: list[Round]) -> dict[str, Any]:
    """Medians of one contestant."""
    micros = [one.micros for one in found]
    return {
        "name": name,
        "cpu_micros": round(median(micros), 1),
        "cpu_micros_with_all": round(median(one.micros_with_all for one in found), 1),
        "spread": spread(micros),
        "calls_per_second": round(median(one.load.calls / one.load.seconds for one in found)),
        "p99_ms": round(median(one.load.p99_ms for one in found), 2),
        "paced_cpu_micros": round(median(one.micros for one in paced), 1),
        "paced_p50_ms": round(median(one.load.p50_ms for one in paced), 2),
        "paced_p99_ms": round(median(one.load.p99_ms for one in paced), 2),
    }


def report(figures: Mapping[str, Any]) -> str:
    """The table people read."""
    found = {one["name"]: one for one in figures["contestants"]}
    bare = found[BARE]
    rows = [
        (
            one["name"],
            one["cpu_micros"],
            f"{one['cpu_micros'] / bare['cpu_micros']:.2f}",
            one["spread"],
            one["cpu_micros_with_all"],
            one["calls_per_second"],
            one["p99_ms"],
            f"{one['paced_cpu_micros']} ({one['paced_cpu_micros'] / bare['paced_cpu_micros']:.2f} ×)",
            one["paced_p50_ms"],
            f"{one['paced_p99_ms']} ({one['paced_p99_ms'] / bare['paced_p99_ms']:.2f} ×)",
        )
        for one in found.values()
    ]
    head = (
        "",
        "CPU µs a call",
        "× bare",
        "min - max",
        "with helpers",
        "calls/s",
        "p99 ms",
        "CPU paced",
        "p50 paced",
        "p99 paced",
    )
    return table(head, rows)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Start everybody, show that they refuse, fill, measure."""
    with ExitStack() as stack:
        gateways = Gateways(stack, options.stored, options.rotating)
        refused = refusals(gateways)
        print(table(refused[0], refused[1:]), flush=True)
        filled = fill(gateways)
        print(f"filled with {options.stored} decisions: {filled}", flush=True)
        everybody = gateways.contestants()
        rounds({one.name: lambda one=one: measure(one, 2) for one in everybody}, 1)  # warm, not counted
        found = rounds(
            {one.name: lambda one=one: measure(one, options.seconds) for one in everybody}, options.rounds
        )
        pause = round(1000 * options.connections / options.rate)
        paced = rounds(
            {
                one.name: lambda one=one: measure(
                    one, options.seconds, connections=options.connections, pause_ms=pause
                )
                for one in everybody
            },
            options.rounds,
        )
        figures = {
            "stored_decisions": options.stored,
            "rotating_tokens": options.rotating,
            "refusals": refused,
            "filling": filled,
            "contestants": [summary(name, found[name], paced[name]) for name in found],
            "paced_rate": options.rate,
        }
        print(report(figures), flush=True)
        figures["reload"] = reload(gateways, 3 * options.seconds)
        print(f"with a reload: {figures['reload']}", flush=True)
        return figures


def main(arguments: list[str] | None = None) -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stored", type=int, default=100_000, help="decisions in the gateway")
    parser.add_argument("--rotating", type=int, default=10_000, help="tokens that take turns in one scenario")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument(
        "--rate", type=int, default=2_000, help="calls a second where everybody gets the same"
    )
    parser.add_argument("--connections", type=int, default=32)
    load.require_wrk()
    keep("gateway", run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main(sys.argv[1:])
