"""The demo's surroundings: a scratch directory; a login service, a backend and a server as processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ostiary.cli.data_directory import DataDirectory, write_private
from ostiary.cli.errors import OperatorError
from ostiary.cli.ports import free_ports
from ostiary.cli.supervisor import die_with_parent
from ostiary.foundation.secrets import random_token

START_WITHIN = 30.0
STOP_WITHIN = 20.0
DOCUMENTED_PORTS = (9443, 8243, 9700, 9701)
"""Management, gateway, login service, backend: what the guides say. Used where they are free."""
SECRETS = (
    "EXTERNAL_STORE_PASSWORD",
    "BOB_PASSWORD",
    "ALEX_PASSWORD",
    "MOBILE_SECRET",
    "SAMPLER_SECRET",
    "NEWCOMER_SECRET",
    "CONSOLE_SECRET",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is."""

    directory: Path
    organization_file: Path
    secrets_file: Path
    log: Path
    data: DataDirectory
    login_service: str
    backend: str


class Scratch:
    """Everything the story needs, made for it and removed after it."""

    def __init__(self, documented_ports: bool) -> None:
        self._stack = ExitStack()
        self._documented_ports = documented_ports
        self.secrets = {name: random_token(9) for name in SECRETS}
        self.testuser_password = random_token(9)
        self.ready: Mapping[str, str] = {}
        self.keep = False
        """Leave the directory behind, for whoever wants to know why a step did not hold."""

    def __enter__(self) -> Self:
        try:
            self._prepare()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _prepare(self) -> None:
        directory = Path(tempfile.mkdtemp(prefix="ostiary-demo-"))
        self._stack.callback(self._remove, directory)
        quickstart = quickstart_directory()
        management, gateway, login, backend = self._ports()
        self._server_ports = (management, gateway)
        self.place = Place(
            directory=directory,
            organization_file=directory / "organization.yaml",
            secrets_file=directory / "secrets.env",
            log=directory / "ostiary.log",
            data=DataDirectory(directory / "data"),
            login_service=f"http://127.0.0.1:{login}/authenticate",
            backend=f"http://127.0.0.1:{backend}",
        )
        organization = (quickstart / "organization.yaml").read_text(encoding="utf-8")
        organization = organization.replace("127.0.0.1:9700", f"127.0.0.1:{login}")
        write_private(
            self.place.organization_file, organization.replace("127.0.0.1:9701", f"127.0.0.1:{backend}")
        )
        write_private(self.place.secrets_file, "".join(f"export {k}={v}\n" for k, v in self.secrets.items()))
        users = json.dumps({"testuser": self.testuser_password})
        self._run(
            [str(quickstart / "login_service.py"), "--port", str(login)],
            {
                "EXTERNAL_STORE_PASSWORD": self.secrets["EXTERNAL_STORE_PASSWORD"],
                "LOGIN_SERVICE_USERS": users,
            },
        )
        keys = f"https://localhost:{gateway}/t/my_company/gateway/jwks"
        trust = str(self.place.data.tls / "ca.pem")
        self._run([str(quickstart / "backend.py"), "--port", str(backend), "--jwks", keys, "--ca", trust])

    def _remove(self, directory: Path) -> None:
        if not self.keep:
            shutil.rmtree(directory, ignore_errors=True)

    def start_server(self) -> float:
        """Start `ostiary serve` and wait until it is ready; returns the seconds it took.

        Raises:
            OperatorError: it ended or was not ready in time; the text is what it said last.
        """
        started = time.monotonic()
        management, gateway = map(str, self._server_ports)
        ports = ["--management-port", management, "--gateway-port", gateway]
        server = self._run(
            ["-m", "ostiary", "serve", "--data-dir", str(self.place.data.path), "--workers", "1", *ports]
        )
        _until(lambda: self.place.data.ready() is not None or server.poll() is not None, START_WITHIN)
        ready = self.place.data.ready()
        if ready is None:
            raise OperatorError(f"the server did not start: {_last_line(self.place.log)}")
        self.ready = {name: str(value) for name, value in ready.items()}
        return time.monotonic() - started

    def apply(self) -> subprocess.CompletedProcess[str]:
        """Run `ostiary apply` on the organization's file, as the person who wrote it would."""
        return subprocess.run(  # noqa: S603 # our own command
            [sys.executable, "-m", "ostiary", "apply", "-f", str(self.place.organization_file)],
            env={
                **os.environ,
                **self.secrets,
                "OSTIARY_DATA_DIR": str(self.place.data.path),
                "NO_COLOR": "1",
            },
            capture_output=True,
            text=True,
            timeout=START_WITHIN,
            check=False,
        )

    def _ports(self) -> list[int]:
        return free_ports(4, DOCUMENTED_PORTS if self._documented_ports else ())

    def _run(
        self, arguments: list[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("OSTIARY_")}
        with self.place.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 # our own programs
                [sys.executable, *arguments],
                env={**inherited, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=die_with_parent(),  # one system call, no locks
            )
        self._stack.callback(_stop, process)
        return process


def quickstart_directory() -> Path:
    """`examples/quickstart`: beside the source, or where an installed package has it."""
    source = Path(__file__).resolve().parents[4] / "examples" / "quickstart"
    for candidate in (source, Path(sys.prefix) / "share" / "ostiary" / "examples" / "quickstart"):
        if (candidate / "organization.yaml").exists():
            return candidate
    raise OperatorError("the quickstart example is missing from this installation: install ostiary again")


def _until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(log: Path) -> str:
    said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    named = [line.removeprefix("ostiary: ") for line in said if line.startswith("ostiary: ")]
    return (named or said or ["it said nothing"])[-1]
