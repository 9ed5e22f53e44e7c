"""A real HAProxy with our configuration, a backend that echoes, an agent that is told what to say."""

import asyncio
import hashlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.system.stand_ins import Backend, UnixHTTP
from tests.system.waiting import until

from ostiary.cli.supervisor import die_with_parent
from ostiary.gateway.haproxy import (
    OWN_CONFIG,
    OWN_FILES,
    OWN_MAP,
    PLAN_KEY,
    PLAN_MAP,
    STREAMS_MAP,
    Decision,
    GatewayListener,
    Listener,
    MapEntry,
    Quota,
    decision_entry,
    encode_decision,
    files,
    gateway_config,
    management_config,
    own_backends,
    own_config,
    own_map,
    structure_maps,
    with_system_ca,
)
from ostiary.gateway.haproxy.render import HERE as LUA
from ostiary.gateway.node.runtime import HAProxyRuntime, RuntimeUnavailable, Worker
from ostiary.gateway.plan import Entry, GatewayPlan
from ostiary.gateway.supervise import find_haproxy

TOKEN = "a-token.of-ours"
ORGANIZATION = "00000000-0000-4000-8000-000000000001"
DEFAULT = "00000000-0000-4000-8000-000000000002"
ORDERS = "00000000-0000-4000-8000-00000000000a"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def entry(kind: str, id: str, **value: Any) -> Entry:
    return Entry(kind, id, value)


def an_organization(id: str = ORGANIZATION, name: str = "my_company") -> Entry:
    return entry(
        "organization", id, name=name, issuer=f"https://x/t/{name}", audience=f"https://x/t/{name}/gateway"
    )


def an_api(
    id: str = ORDERS,
    *,
    context: str = "/orders",
    version: str = "1.0.0",
    state: str = "PUBLISHED",
    production: Sequence[str] = (),
    sandbox: Sequence[str] = (),
    resources: Iterable[tuple[str, str, Sequence[str]]] = (("GET", "/*", ()),),
    organization_id: str = ORGANIZATION,
    limit: Mapping[str, Any] | None = None,
    limits: Mapping[tuple[str, str], Mapping[str, Any]] | None = None,
    auth: Mapping[tuple[str, str], str] | None = None,
    security: Sequence[str] = ("oauth2",),
    cors: Mapping[str, Any] | None = None,
    default_version: bool = False,
    name: str = "Orders",
    **how: Any,
) -> Entry:
    """`limits` and `auth` are those of resources, by method and path; `how` is what the backend says."""
    said = [
        {
            "method": method,
            "path": path,
            "scopes": list(scopes),
            "limit": (limits or {}).get((method, path)),
            "auth": (auth or {}).get((method, path), "any"),
        }
        for method, path, scopes in resources
    ]
    return entry(
        "api",
        id,
        organization_id=organization_id,
        name=name,
        context=context,
        version=version,
        state=state,
        backend={"production": list(production), "sandbox": list(sandbox), **how},
        resources=said,
        limit=limit,
        security=list(security),
        cors=dict(cors or {}),
        default_version=default_version,
    )


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def a_decision(
    token: str = TOKEN,
    *,
    api: str = ORDERS,
    lifetime: float = 300,
    epoch: int = 5,
    scopes: Iterable[str] = (),
    quota: Quota | None = None,
    key_type: str = "PRODUCTION",
    organization_id: str = ORGANIZATION,
    subscription: str = "subscription-1",
    **limits: Quota | None,
) -> Decision:
    return Decision(
        api_id=api,
        credential_sha256=sha256(token),
        expires_at=int(time.time() + lifetime),
        epoch=epoch,
        organization_id=organization_id,
        subject="subject-1",
        client_id="mobile app",
        application_id="application-1",
        key_type=key_type,
        scopes=frozenset(scopes),
        quota=quota,
        assertion="header.assertion.signature",
        subscription_id=subscription,
        **limits,
    )


def grant(decision: Decision) -> tuple[int, str]:
    return 200, f"grant\n{encode_decision(decision)}"


def addresses(host: str, _port: int) -> tuple[str, ...]:
    return () if host == "unresolved.example" else ("127.0.0.1",)


@contextmanager
def running(*entries: Entry, **how: Any) -> Iterator["DataPlane"]:
    """A data plane that has this plan; `http://backend` in an API's addresses is its backend."""
    backend = Backend()
    said = [_with_port(one, backend.port) for one in entries]
    plane = DataPlane(GatewayPlan().apply(1, said), backend, **how)
    try:
        yield plane.start()
    finally:
        plane.stop()
        backend.stop()


def _with_port(one: Entry, port: int) -> Entry:
    text = json.dumps(one.value).replace("http://backend", f"http://127.0.0.1:{port}")
    return Entry(one.kind, one.id, json.loads(text))


@dataclass
class DataPlane:
    """One HAProxy gateway and all it talks to."""

    plan: GatewayPlan
    backend: Backend
    lua: Path = LUA
    threads: int = 2
    access_log: str = "refused"
    calls_per_target: int = 1000
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="ostiary-dp-")))
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None
    agent: UnixHTTP | None = None
    worker: UnixHTTP | None = None

    def start(self, *, planned: bool = True) -> "DataPlane":
        maps = self.folder / "maps"
        maps.mkdir(exist_ok=True)
        for name, text in files(structure_maps(self.plan, addresses, lambda name: f"@{name}")).items():
            (maps / name).write_text(text)
        (maps / STREAMS_MAP).write_text("")
        self.write_own()
        certificate = a_certificate(self.folder)
        listener = GatewayListener(
            port=self.tls_port,
            certificate=certificate,
            workers=("worker-0.sock",),
            host="127.0.0.1",
            threads=self.threads,
            access_log=self.access_log,  # type: ignore[arg-type]
            http_port=self.port,
            backend_ca=self.folder / "ca.pem",
            lua=self.lua,
            calls_per_target=self.calls_per_target,
        )
        (self.folder / "gateway.cfg").write_text(gateway_config(listener))
        self.agent = UnixHTTP(self.folder / "agent.sock", lambda *_: (200, "refuse invalid_token"))
        self.worker = UnixHTTP(self.folder / "worker-0.sock", lambda path, _: (200, f"worker {path}"))
        self.launch("gateway")
        if planned:
            self.set(MapEntry(PLAN_MAP, PLAN_KEY, "1"))
            until(lambda: self.get("/-/ready").status == 200, what="readiness")
        return self

    def write_own(self) -> None:
        """Write what the agent writes of backends of their own."""
        own = own_backends(self.plan.apis.values(), addresses)
        (self.folder / OWN_CONFIG).write_text(with_system_ca(own_config(own), str(self.folder / "ca.pem")))
        (self.folder / "maps" / OWN_MAP).write_text(own_map(own))
        (self.folder / OWN_FILES).mkdir(exist_ok=True)
        for name, text in {name: text for one in own for name, text in one.files.items()}.items():
            (self.folder / OWN_FILES / name).write_text(text)

    def launch_for_node(self) -> None:
        """Start on what a real agent writes into the folder."""
        listener = GatewayListener(
            port=self.tls_port,
            certificate=a_certificate(self.folder),
            workers=("worker-1.sock",),
            host="127.0.0.1",
            threads=self.threads,
            http_port=self.port,
        )
        (self.folder / "gateway.cfg").write_text(gateway_config(listener))
        self.launch("gateway")

    def launch(self, name: str) -> None:
        haproxy = find_haproxy()
        haproxy.check(self.folder, name)
        self.log = (self.folder / f"{name}.log").open("wb")
        command = haproxy.command(self.folder, name)
        self.process = subprocess.Popen(
            command,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=dict(haproxy.environment),
            preexec_fn=die_with_parent(),
        )
        until(lambda: self.workers(name), what="a worker")

    def workers(self, name: str = "gateway") -> Sequence[Worker]:
        try:
            return self.run(lambda runtime: runtime.workers(), name)
        except RuntimeUnavailable:
            return ()

    def stop_haproxy(self) -> None:
        """End HAProxy; what it logged is then complete."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def stop(self) -> None:
        self.stop_haproxy()
        for server in (self.agent, self.worker):
            if server is not None:
                server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, work: Callable[[HAProxyRuntime], Any], name: str = "gateway") -> Any:
        async def with_runtime() -> Any:
            runtime = HAProxyRuntime(self.folder / f"{name}.master.sock")
            try:
                return await work(runtime)
            finally:
                runtime.close()

        return asyncio.run(with_runtime())

    def set(self, *changes: MapEntry) -> None:
        self.run(lambda runtime: runtime.apply(changes))

    def decide(self, *decisions: Decision) -> None:
        self.set(*(decision_entry(one) for one in decisions))

    def get(self, path: str, token: str | None = None, **headers: str) -> Answer:
        return self.call("GET", path, token, **headers)

    def call(
        self, method: str, path: str, token: str | None = None, body: bytes | None = None, **headers: str
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            return call_on(connection, method, path, token, body, **headers)
        finally:
            connection.close()

    def raw(self, request: bytes) -> Answer:
        """Send these bytes and read one answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return Answer(response.status, _headers(response), response.read())

    def show(self, map: str) -> list[str]:
        """The entries of a map in the one live worker, as `key value`."""
        text = self.told(f"show map maps/{map}")
        return [line.partition(" ")[2] for line in text.splitlines() if line.startswith("0x")]

    def told(self, command: str) -> str:
        """What the one live worker answers on its command line."""
        (worker,) = self.workers()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / "gateway.master.sock"))
            connection.sendall(f"@!{worker.pid} {command}\n".encode())
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def reload(self) -> None:
        """Replace the worker and wait for the new one; the old one may still serve."""
        before = {worker.pid for worker in self.workers()}
        self.run(lambda runtime: runtime.reload())
        until(lambda: {worker.pid for worker in self.workers()} - before, what="a new worker")

    def logged(self) -> str:
        return (self.folder / "gateway.log").read_text()


def call_on(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    token: str | None = None,
    body: bytes | None = None,
    **headers: str,
) -> Answer:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        said["Authorization"] = f"Bearer {token}"
    connection.request(method, path, body=body, headers=said)
    response = connection.getresponse()
    return Answer(response.status, _headers(response), response.read())


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


def management(folder: Path, port: int, workers: Sequence[str]) -> None:
    """Write the management listener's configuration and its certificate."""
    certificate = a_certificate(folder)
    text = management_config(
        Listener(port=port, certificate=certificate, workers=tuple(workers), host="127.0.0.1", threads=1)
    )
    (folder / "management.cfg").write_text(text)


def a_certificate(folder: Path) -> Path:
    """A self-signed certificate for localhost: `server.pem` with its key, `ca.pem` without."""
    pem = folder / "server.pem"
    if not pem.exists():
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        made = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem")]
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        subprocess.run(["openssl", "req", "-x509", *kind, *subject, *made], check=True, capture_output=True)
        pem.write_text((folder / "ca.pem").read_text() + (folder / "key.pem").read_text())
    return pem
