"""The data directory: who uses it, what is in it, and what a killed run left behind.

`DIR/lock` is held (`flock`) for as long as a server runs, so the kernel lets go of it whatever happens
to the process. `DIR/ready.json` exists exactly while the server is ready.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ostiary.cli.errors import OperatorError
from ostiary.foundation.private_files import write_private
from ostiary.foundation.secrets import random_token

__all__ = ["DataDirectory", "write_private"]

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600


class DataDirectory:
    """The files of one installation."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.run = self.path / "run"
        self.tls = self.path / "tls"
        self.node = self.path / "node"
        self.lock_file = self.path / "lock"
        self.ready_file = self.path / "ready.json"
        self.secret_key = self.path / "secret.key"
        self.node_credential = self.node / "credential"
        self.admin_password = self.path / "admin-password"

    def worker_socket(self, index: int) -> Path:
        """Where worker `index` answers HAProxy and the agent."""
        return self.run / f"worker-{index}.sock"

    def admin_socket(self, index: int) -> Path:
        """Where worker `index` answers the local administrator."""
        return self.run / f"admin-{index}.sock"

    def nodes_socket(self, index: int) -> Path:
        """Where worker `index` answers the node listener."""
        return self.run / f"nodes-{index}.sock"

    def metrics_socket(self, index: int) -> Path:
        """Where worker `index` answers scrapes, and nothing else."""
        return self.run / f"metrics-{index}.sock"

    def make(self) -> None:
        """Create the directories; existing ones are made private again.

        Raises:
            OperatorError: they cannot be created or written.
        """
        try:
            self.path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            for directory in (self.run, self.tls, self.node):
                directory.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
                directory.chmod(PRIVATE_DIRECTORY)
        except OSError as error:
            raise OperatorError(
                f"the data directory {self.path} cannot be used ({error.strerror}): "
                "choose another one with --data-dir, or give this one to the user who runs ostiary"
            ) from error
        if len(str(self.worker_socket(10))) > _LONGEST_SOCKET_PATH:
            raise OperatorError(
                f"the data directory's path is too long for unix sockets ({self.path}): "
                "choose a shorter one with --data-dir"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for this process.

        Raises:
            OperatorError: another server holds it; names that process.
        """
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
                raise OperatorError(
                    f"{self.path} is in use by another ostiary (process {holder}): "
                    "stop that one first, or choose another directory with --data-dir"
                ) from error
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def was_killed(self) -> bool:
        """Whether the last server here left without cleaning up."""
        return self.ready_file.exists() or any(self.run.glob("*.sock"))

    def sweep(self) -> None:
        """Remove what only a running server means: sockets and `ready.json` of a run that was killed."""
        self.ready_file.unlink(missing_ok=True)
        for leftover in self.run.glob("*.sock"):
            leftover.unlink(missing_ok=True)

    def ensure_node_credential(self) -> None:
        """Make the secret with which the embedded gateway node proves itself to the control plane."""
        if not self.node_credential.exists():
            write_private(self.node_credential, random_token())

    def announce_ready(self, ready: Mapping[str, Any]) -> None:
        """Write `ready.json` in one step: whoever sees it sees all of it."""
        write_private(self.ready_file, json.dumps(ready, indent=2) + "\n")

    def ready(self) -> Mapping[str, Any] | None:
        """What a running server announced; `None` when none is ready."""
        try:
            announced: Mapping[str, Any] = json.loads(self.ready_file.read_text())
        except (OSError, ValueError):
            return None
        return announced


_LONGEST_SOCKET_PATH = 100
"""unix(7): `sun_path` has 108 bytes; HAProxy adds a suffix while it binds."""
