"""What do tokens cost: to issue, to log in for, to ask about?

* client credentials, ES256, ours with its database on disk, beside node-oidc-provider with its in-memory
  store, which issues the same claims under the same algorithm to the same kind of client;
* the password grant for a user of PRIMARY, beside the Argon2id verification it cannot do without;
* the password grant for a user of a REST login service, beside the bare call to that service;
* introspection, with two workers: of a hundred tokens that are asked about again and again, as resource
  servers do, and of tokens that are each asked about once;
* what a token cannot do without: the server answering a constant of the same size, one ES256 signature.
"""

import argparse
import asyncio
import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import argon2
import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.types import Receive, Scope, Send
from tests.support.login_service import SERVICE_PASSWORD, SERVICE_USER
from tests.system.waiting import until

from benchmarks import load, peers
from benchmarks.measuring import HERE, cpu_seconds, keep, median, rounds, table
from benchmarks.product import ORGANIZATION, SCOPE, SECRET, Product, product
from ostiary.cli.ports import free_ports
from ostiary.foundation.http_client import OutboundClient, OutboundPolicy
from ostiary.identity import passwords
from ostiary.oauth.tokens.jwt import sign_jwt

USERS = 50
PASSWORD = "a-password-of-a-benchmark"
_MOST_A_SECOND = 8_000
"""More introspections than are answered in a second, so that no token comes twice."""
NODE = Path(os.environ.get("OSTIARY_BENCH_OIDC_PROVIDER", HERE / "oidc-provider"))


def organization(login_url: str) -> str:
    """Two applications that may use the password grant, fifty users here and fifty in a login service."""
    users = "\n".join(f"  - {{username: user{n}, password: {PASSWORD}}}" for n in range(USERS))
    return f"""\
apiVersion: ostiary/v1
organization: {{name: {ORGANIZATION}}}
user_stores:
  - name: EXTERNAL
    type: rest
    url: {login_url}
    auth: {{basic: {{username: {SERVICE_USER}, password: {SERVICE_PASSWORD}}}}}
users:
{users}
scopes: [{{name: "{SCOPE}", everyone: true}}]
applications:
  - name: caller
    owner: user0
    keys:
      production:
        client_id: {ORGANIZATION}-caller
        client_secret: {SECRET}
        grant_types: [client_credentials, password]
        default_scope: ["{SCOPE}"]
"""


@contextmanager
def login_service() -> Iterator[tuple[str, int]]:
    """A login service in a process of its own: its URL and its process."""
    (port,) = free_ports(1)
    file = HERE.parent / "tests" / "support" / "login_service.py"
    users = [part for n in range(USERS) for part in ("--user", f"outside{n}={PASSWORD}")]
    command = [sys.executable, str(file), "--port", str(port), *users]
    url = f"http://127.0.0.1:{port}/authenticate"
    with peers.running(command, {"port": port}, peers.listens(port)) as peer:
        yield url, peer.process.pid


@contextmanager
def oidc_provider(audience: str) -> Iterator[peers.Peer]:
    """node-oidc-provider."""
    if not (NODE / "node_modules").exists():
        raise SystemExit(
            "oidc-provider is needed: `make bench` fetches it (Debian: apt-get install nodejs npm)"
        )
    (port,) = free_ports(1)
    arguments = [str(port), f"{ORGANIZATION}-caller", SECRET, SCOPE, audience]
    ready = peers.answers(f"http://127.0.0.1:{port}/jwks")
    command = ["node", str(NODE / "server.mjs"), *arguments]
    with peers.running(command, {"port": port}, ready, NODE_ENV="production") as peer:
        yield peer


def basic(name: str, password: str) -> str:
    """HTTP Basic."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def per_call(pids: Callable[[], set[int]], url: str, requests: Path, seconds: float) -> dict[str, float]:
    """Milliseconds of CPU a call, and calls a second."""
    before = cpu_seconds(pids())
    done = load.run(url, requests, seconds, connections=16)
    used = cpu_seconds(pids()) - before
    if done.refused or done.failed or not done.calls:
        raise RuntimeError(str(done))
    return {
        "cpu_ms": 1000 * used / done.calls,
        "calls_per_second": done.calls / done.seconds,
        "p99_ms": done.p99_ms,
    }


def argon2_alone(at_once: int = 1, number: int = 40) -> dict[str, float]:
    """The verification that the password grant cannot do without, with the product's own parameters."""
    hasher: argon2.PasswordHasher = passwords._ARGON2
    known = hasher.hash(PASSWORD)
    started = time.process_time()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda _: hasher.verify(known, PASSWORD), range(number)))
    return {"cpu_ms": 1000 * (time.process_time() - started) / number}


def signature_alone(number: int = 2_000) -> dict[str, float]:
    """One access token signed, in a process that does nothing else."""
    key, claims = ec.generate_private_key(ec.SECP256R1()), {"text": "x" * 300}
    started = time.process_time()
    for _ in range(number):
        sign_jwt(key, {"alg": "ES256", "typ": "at+jwt"}, claims)
    return {"cpu_ms": 1000 * (time.process_time() - started) / number}


async def constant(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that reads its request and answers as many bytes as a token has."""
    while (await receive()).get("more_body"):
        pass
    head = [(b"content-type", b"application/json"), (b"content-length", b"700")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": b"x" * 700})


@contextmanager
def constant_server() -> Iterator[peers.Peer]:
    """The server that a worker is, with nothing in it: what no token can be cheaper than."""
    (port,) = free_ports(1)
    options = ["--port", str(port), "--http", "httptools", "--loop", "uvloop", "--no-access-log"]
    command = [sys.executable, "-m", "uvicorn", "benchmarks.tokens:constant", "--lifespan", "off", *options]
    with peers.running(command, {"port": port}, peers.listens(port)) as peer:
        yield peer


def call_alone(url: str, number: int = 300) -> dict[str, float]:
    """The bare call to the login service, by the client the product uses."""
    headers = [("Authorization", basic(SERVICE_USER, SERVICE_PASSWORD)), ("Content-Type", "application/json")]

    async def all_of_them() -> float:
        client = OutboundClient(OutboundPolicy())
        body = orjson.dumps({"credentials": {"username": "outside1", "password": PASSWORD}})
        started = time.process_time()
        for _ in range(number):
            answer = await client.request("POST", url, dict(headers), body, timedelta(seconds=5))
            assert answer.status == 200
        used = time.process_time() - started
        await client.close()
        return used

    return {"cpu_ms": 1000 * asyncio.run(all_of_them()) / number}


def issuing(served: Product, stack: ExitStack, folder: Path, login: str, options: Any) -> dict[str, Any]:
    """Tokens of three kinds beside what they are compared with."""
    peer = stack.enter_context(oidc_provider(str(served.claims()["aud"])))
    key = basic(f"{ORGANIZATION}-caller", SECRET)
    client = f"grant_type=client_credentials&scope={SCOPE}"
    ours = load.write(folder / "ours", [load.form("/token", client, Authorization=key)])
    theirs = load.write(folder / "theirs", [load.form("/token", client, Authorization=key)])
    inside = load.write(folder / "inside", [_password("user", n, key) for n in range(USERS)])
    outside = load.write(folder / "outside", [_password("outside", n, key) for n in range(USERS)])
    everything = served.all_processes
    seconds = options.seconds
    floor = stack.enter_context(constant_server())
    return {
        "client credentials, ours": lambda: per_call(everything, served.url, ours, seconds),
        "client credentials, oidc-provider": lambda: per_call(peer.pids, peer.url(), theirs, seconds),
        "password of PRIMARY": lambda: per_call(everything, served.url, inside, seconds),
        "Argon2id alone": argon2_alone,
        "Argon2id alone, one a core": lambda: argon2_alone(os.cpu_count() or 1),
        "password of a REST store": lambda: per_call(everything, served.url, outside, seconds),
        "the REST call alone": lambda: call_alone(login),
        "a constant from the same server": lambda: per_call(floor.pids, floor.url(), ours, seconds),
        "one ES256 token signed": signature_alone,
    }


def _password(user: str, number: int, key: str) -> str:
    form = f"grant_type=password&username={user}{number}%40{ORGANIZATION}&password={PASSWORD}"
    return load.form("/token", form, Authorization=key)


def introspection(folder: Path, options: Any) -> dict[str, dict[str, float]]:
    """Introspections a second of two workers, at the management listener, where the endpoint is."""
    with login_service() as (login, _), product(workers=2) as served:
        served.apply(organization(login))
        key = basic(f"{ORGANIZATION}-caller", SECRET)
        url = f"https://localhost:{served.server.management_port}"

        def asking(number: int) -> Callable[[], dict[str, float]]:
            """Each round has tokens of its own."""

            def ask() -> dict[str, float]:
                tokens = served.mint(number)
                lines = [load.form("/oauth2/introspect", f"token={t}", Authorization=key) for t in tokens]
                file = load.write(folder / "introspect", lines)
                return per_call(served.all_processes, url, file, options.seconds)

            return ask

        most = int(_MOST_A_SECOND * options.seconds)
        contestants = {
            "introspection, two workers": asking(100),
            "introspection of tokens asked about once, two workers": asking(most),
        }
        rounds(contestants, 1)
        found = rounds(contestants, options.rounds)
    return {
        name: {part: median(one[part] for one in several) for part in several[0]}
        for name, several in found.items()
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything."""
    with ExitStack() as stack:
        folder = stack.enter_context(peers.scratch())
        login, _ = stack.enter_context(login_service())
        served = stack.enter_context(product())
        served.apply(organization(login))
        until(lambda: served.token(), 10, "a token")
        contestants = issuing(served, stack, folder, login, options)
        rounds(contestants, 1)
        found = rounds(contestants, options.rounds)
    figures: dict[str, Any] = {
        name: {part: round(median(one[part] for one in several), 3) for part in several[0]}
        for name, several in found.items()
    }
    with peers.scratch() as folder:
        for name, one in introspection(folder, options).items():
            figures[name] = {part: round(value, 3) for part, value in one.items()}
    return figures


BESIDE = {
    "client credentials, ours": "client credentials, oidc-provider",
    "password of PRIMARY": "Argon2id alone",
    "password of a REST store": "the REST call alone",
}


def report(figures: dict[str, Any]) -> str:
    """The table people read."""
    rows = []
    for name, one in figures.items():
        other = figures.get(BESIDE.get(name, ""))
        ratio = "" if other is None else f"{one['cpu_ms'] / other['cpu_ms']:.2f} × {BESIDE[name]}"
        rows.append((name, one["cpu_ms"], ratio, one.get("calls_per_second", ""), one.get("p99_ms", "")))
    return table(("", "CPU ms", "ratio", "calls/s", "p99 ms"), rows)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    load.require_wrk()
    figures = run(parser.parse_args(arguments))
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    print(report(figures), flush=True)
    keep("tokens", {"node": node, **figures})


if __name__ == "__main__":
    main(sys.argv[1:])
