"""The product as a person starts it: `ostiary serve` on free ports in a scratch directory."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
from tests.house.quiet_logs import leaked
from tests.support.ports import free_ports
from tests.system.waiting import alive, until

READY_WITHIN = 60.0
STOPPED_WITHIN = 20.0
ADMIN_PASSWORD = "correct-horse-battery"


class Server:
    """One data directory and the server that runs, or ran, on it."""

    def __init__(self, directory: Path, *, workers: int = 1, http: bool = False) -> None:
        self.directory = directory
        self.workers = workers
        self.management_port, self.gateway_port, spare = free_ports(3)
        self.http_port = spare if http else 0
        self.environment: dict[str, str] = {
            "OSTIARY_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "OSTIARY_ACCESS__BASIC_AUTHENTICATION": "true",
        }
        self.log = scratch_log(directory)
        self.process: subprocess.Popen[bytes] | None = None
        self._launched_ns = 0

    def command(self, *options: str) -> list[str]:
        return [
            *(sys.executable, "-m", "ostiary", "serve", "--data-dir", str(self.directory)),
            *("--management-port", str(self.management_port), "--gateway-port", str(self.gateway_port)),
            *("--http-port", str(self.http_port), "--workers", str(self.workers), *options),
        ]

    def launch(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start without waiting; everything it says is appended to `log`."""
        self._launched_ns = time.time_ns()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(*options),
                env={**clean_environment(), **self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.process

    def start(self, *options: str, **environment: str) -> "Server":
        process = self.launch(*options, **environment)
        until(lambda: self.ready() or process.poll() is not None, READY_WITHIN, f"ready: {self.log}")
        assert process.poll() is None, self.said()
        return self

    def ready(self) -> Mapping[str, Any] | None:
        """What this run announced; a file that a killed run left says nothing."""
        file = self.directory / "ready.json"
        try:
            if file.stat().st_mtime_ns < self._launched_ns:
                return None
            announced: Mapping[str, Any] = json.loads(file.read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        return announced

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def tree(self) -> dict[int, str]:
        """Every process of this server: id → command line."""
        assert self.process is not None
        return descendants(self.process.pid)

    def find(self, *words: str) -> int:
        """The process whose command line has all of `words`; the lowest id where several have."""
        found = sorted(pid for pid, line in self.tree().items() if all(word in line for word in words))
        assert found, (words, self.tree())
        return found[0]

    def terminate(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOPPED_WITHIN)

    def kill_everything(self) -> None:
        """SIGKILL for all at once, as a loss of power would; waits until none is left."""
        assert self.process is not None
        pids = [self.process.pid, *self.tree()]
        for pid in pids:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(5)
        until(lambda: not any(map(alive, pids)), what="the end of every process")

    def stop(self) -> None:
        """End it, however it is; whatever it has said holds no secret."""
        if self.process is not None and self.process.poll() is None:
            try:
                self.terminate()
            except subprocess.TimeoutExpired:
                self.kill_everything()
        if self.log.exists():
            assert leaked(self.said()) == []

    def ostiary(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run another command against this server, as its own user."""
        return subprocess.run(
            [sys.executable, "-m", "ostiary", *arguments],
            env={**clean_environment(), "OSTIARY_DATA_DIR": str(self.directory), **environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.directory / "tls" / "ca.pem"))

    def management(self) -> httpx2.Client:
        return httpx2.Client(
            base_url=f"https://localhost:{self.management_port}",
            verify=self.trust(),
            auth=("admin", ADMIN_PASSWORD),
            timeout=10,
        )

    def gateway(self) -> httpx2.Client:
        return httpx2.Client(
            base_url=f"https://localhost:{self.gateway_port}", verify=self.trust(), timeout=10
        )


def scratch_log(directory: Path) -> Path:
    """Where a server on that directory says what it says: beside it, whatever it is."""
    above = next(parent for parent in directory.parents if parent.is_dir())
    return above / f"{directory.name}.log"


def clean_environment() -> dict[str, str]:
    """Ours, without what would configure an Ostiary; plain output."""
    return {k: v for k, v in os.environ.items() if not k.startswith("OSTIARY_")} | {"NO_COLOR": "1"}


def descendants(root: int) -> dict[int, str]:
    """Every process below `root`: id → command line."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: dict[int, str] = {}
    waiting = list(parents.get(root, ()))
    while waiting:
        pid = waiting.pop()
        found[pid] = _command_line(pid)
        waiting.extend(parents.get(pid, ()))
    return found


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
