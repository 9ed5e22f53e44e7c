"""The others: a backend, bare HAProxy, Envoy and Traefik, each a process tree of its own on free ports."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import httpx2
from joserfc.jwk import ECKey
from tests.system.data_plane import a_certificate
from tests.system.waiting import until

from benchmarks.measuring import HERE, with_children
from ostiary.cli.ports import free_ports
from ostiary.cli.supervisor import die_with_parent
from ostiary.gateway.supervise import find_haproxy

VENV = Path(os.environ.get("OSTIARY_BENCH_PEERS", HERE.parent / ".venv-bench"))


@dataclass
class Peer:
    """A running program and where it listens."""

    process: subprocess.Popen[bytes]
    ports: Mapping[str, int]

    def pids(self) -> set[int]:
        """Its whole process tree."""
        return with_children(self.process.pid)

    def url(self, name: str = "port") -> str:
        """Where it is called."""
        return f"http://127.0.0.1:{self.ports[name]}"


@contextmanager
def running(
    command: list[str], ports: Mapping[str, int], ready: Callable[[], Any], **environment: str
) -> Iterator[Peer]:
    """Run a program until the end of the block; it dies with us."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            preexec_fn=die_with_parent(),
        )
        try:
            until(lambda: ready() or process.poll() is not None, 20, f"{command[0]} listening")
            if process.poll() is not None:
                said.seek(0)
                raise RuntimeError(f"{command[0]} ended: {said.read().decode()}")
            yield Peer(process, ports)
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for configurations."""
    folder = Path(tempfile.mkdtemp(prefix="ostiary-peer-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _written(folder: Path, name: str, /, **values: object) -> Path:
    text = Template((HERE / "peers" / name).read_text()).substitute(values)
    (folder / name).write_text(text)
    return folder / name


def answers(url: str) -> Callable[[], bool]:
    """Whether anything at all is answered there."""

    def ready() -> bool:
        try:
            httpx2.get(url, timeout=1)
        except httpx2.TransportError:
            return False
        return True

    return ready


def listens(port: int) -> Callable[[], bool]:
    """Whether somebody takes connections there."""

    def ready() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return ready


@contextmanager
def backend() -> Iterator[Peer]:
    """One nginx, listening on every loopback address."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        raise SystemExit("nginx is needed as the backend: apt-get install nginx-light")
    with scratch() as folder:
        (port,) = free_ports(1)
        file = _written(folder, "nginx.conf", folder=folder, port=port)
        command = [binary, "-c", str(file), "-p", str(folder)]
        with running(command, {"port": port}, answers(f"http://127.0.2.200:{port}/")) as peer:
            yield peer


@contextmanager
def bare_haproxy(backend_port: int, backends: int) -> Iterator[Peer]:
    """HAProxy forwarding: ports `port`, `tls_port` (one backend) and `many_port`."""
    haproxy = find_haproxy()
    with scratch() as folder:
        names = ("port", "tls_port", "many_port")
        ports = dict(zip(names, free_ports(3), strict=True))
        many = "".join(
            f"backend api{n}\n    server one 127.0.2.{n + 1}:{backend_port}\n" for n in range(backends)
        )
        certificate = a_certificate(folder)
        values = {**ports, "backend": backend_port, "certificate": certificate, "many": many}
        file = _written(folder, "bare.cfg", **values)
        ready = answers(f"http://127.0.0.1:{ports['port']}/")
        with running([str(haproxy.binary), "-f", str(file)], ports, ready, **haproxy.environment) as peer:
            yield peer


@contextmanager
def envoy(backend_port: int, jwks: Mapping[str, Any], **values: object) -> Iterator[Peer]:
    """Envoy: ports `bare_port`, and `port` with the checks; as many workers as HAProxy has threads."""
    with scratch() as folder:
        bare, port = free_ports(2)
        (folder / "jwks.json").write_text(json.dumps(jwks))
        own = {"bare_port": bare, "port": port, "backend": backend_port, "jwks": folder / "jwks.json"}
        file = _written(folder, "envoy.yaml", **own, **values)
        cores = str(os.cpu_count())
        options = ["-c", str(file), "--concurrency", cores, "--disable-hot-restart", "-l", "error"]
        ports = {"bare_port": bare, "port": port}
        with running([_binary("envoy"), *options], ports, answers(f"http://127.0.0.1:{bare}/")) as peer:
            yield peer


@contextmanager
def traefik(backend_port: int, authorizer_port: int, **values: object) -> Iterator[Peer]:
    """Traefik: ports `bare_port`, and `port` with the checks."""
    with scratch() as folder:
        bare, port = free_ports(2)
        own = {"backend": backend_port, "authorizer": authorizer_port}
        routes = _written(folder, "traefik-routes.yaml", **own, **values)
        file = _written(folder, "traefik.yaml", bare_port=bare, port=port, routes=routes)
        ports = {"bare_port": bare, "port": port}
        command = [_binary("traefik"), f"--configFile={file}"]
        with running(command, ports, lambda: _routes(f"http://127.0.0.1:{bare}/")) as peer:
            yield peer


def _routes(url: str) -> bool:
    """Traefik listens before it has read its routes."""
    return answers(url)() and httpx2.get(url, timeout=1).status_code == 200


@contextmanager
def authorizer(jwk: Mapping[str, Any], **values: object) -> Iterator[Peer]:
    """What Traefik asks."""
    haproxy = find_haproxy()
    with scratch() as folder:
        (port,) = free_ports(1)
        key = folder / "key.pem"
        public = {name: str(jwk[name]) for name in ("kty", "crv", "x", "y")}
        key.write_bytes(ECKey.import_key(public).as_pem(private=False))
        file = _written(folder, "authorizer.cfg", port=port, key=key, **values)
        ready = answers(f"http://127.0.0.1:{port}/")
        command = [str(haproxy.binary), "-f", str(file)]
        with running(command, {"port": port}, ready, **haproxy.environment) as peer:
            yield peer


def _binary(name: str) -> str:
    """The program itself: a starter written in Python would be a process more."""
    for path in (*VENV.glob(f"lib/python3*/site-packages/*/_bin/{name}"), VENV / "bin" / name):
        if path.is_file() and path.open("rb").read(4) == b"\x7fELF":
            return str(path)
    raise SystemExit(f"{name} is needed: `make bench` fetches it into {VENV}")
