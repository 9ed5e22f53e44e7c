"""The programs of one installation on one machine: what each is started with and when it is ready.

Workers first, then the agent, then HAProxy twice. Each stage talks only to stages before it, so start-up
has no cycle; the last stage is ready when the real listeners answer.
"""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ostiary.app import environment_of
from ostiary.cli import probe
from ostiary.cli.certificates import Authority, install_given, names_to_cover
from ostiary.cli.data_directory import DataDirectory
from ostiary.cli.supervisor import Program
from ostiary.foundation.clock import utc_now
from ostiary.gateway import NodeSettings

if TYPE_CHECKING:
    from ostiary.app import Settings

MANAGEMENT, GATEWAY = "management HAProxy", "gateway HAProxy"
_ANY_ADDRESS = "/-/ready"
_ANSWERED = range(200, 500)
"""Below 500: whoever was asked is there and did not have to say that somebody else is not."""
DRAIN_SECONDS = 8.0
"""What requests under way get to finish when everything stops."""


class Tree:
    """Everything `ostiary serve` starts."""

    listeners = (MANAGEMENT, GATEWAY)

    def __init__(self, settings: "Settings", directory: DataDirectory) -> None:
        self.directory = directory
        self._settings = settings
        self._authority = Authority(directory.tls)
        self._environment = _child_environment(settings)

    def urls(self) -> Mapping[str, str | None]:
        """What `ready.json` says: where clients go, and what they trust."""
        settings = self._settings
        http = f"http://127.0.0.1:{settings.http_port}" if settings.http_port else None
        return {
            "management": f"https://localhost:{settings.management_port}",
            "gateway": f"https://localhost:{settings.gateway_port}",
            "http": http,
            "ca": None if settings.tls else str(self._authority.certificate_file),
        }

    def stages(self) -> list[list[Program]]:
        """What is started, in order."""
        return [[self._worker(index) for index in range(self._settings.workers)], [self._agent()]]

    def prepare(self) -> None:
        """Write what the programs read."""
        self.renew_certificates()

    def renew_certificates(self) -> bool:
        """Make our own server certificate where it is due; say whether it is a new one."""
        if self._settings.tls is not None:
            return install_given(self.directory.tls, self._settings.tls.certificate, self._settings.tls.key)
        host = urlsplit(self._settings.issuer_base).hostname
        return self._authority.ensure(names_to_cover(host), utc_now())

    def _worker(self, index: int) -> Program:
        socket = self.directory.worker_socket(index)

        async def is_ready() -> bool:
            return await probe.status_on_socket(socket, _ANY_ADDRESS) in _ANSWERED

        command = (sys.executable, "-m", "ostiary.cli.worker", "--index", str(index))
        return Program(f"worker {index}", command, self._environment, is_ready, stop_within=DRAIN_SECONDS)

    def _agent(self) -> Program:
        socket = self.directory.run / "agent.sock"

        async def is_ready() -> bool:
            return await probe.status_on_socket(socket, "/ready") == 200

        return Program("agent", self._node_settings().command(), self._environment, is_ready)

    def _node_settings(self) -> NodeSettings:
        settings, policy = self._settings, self._settings.outbound_policy
        return NodeSettings(
            data_directory=self.directory.path,
            control_plane=tuple(self.directory.worker_socket(index) for index in range(settings.workers)),
            gateway=settings.gateway,
            allowed_networks=policy.allowed_networks,
            own_ports=policy.own_ports,
            log_format=settings.log_format,
        )


def _child_environment(settings: "Settings") -> dict[str, str]:
    """This process's environment with exactly these settings, whatever they came from."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OSTIARY_")}
    return inherited | environment_of(settings)
