"""The programs of one installation on one machine: what each is started with and when it is ready.

Workers first, then the agent, then HAProxy twice. Each stage talks only to stages before it, so start-up
has no cycle; the last stage is ready when the real listeners answer.
"""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ostiary.app import environment_of
from ostiary.cli import probe
from ostiary.cli.certificates import Authority, install_given, names_to_cover
from ostiary.cli.data_directory import DataDirectory, write_private
from ostiary.cli.errors import OperatorError
from ostiary.cli.supervisor import Program
from ostiary.foundation.clock import utc_now
from ostiary.gateway import (
    BadConfiguration,
    GatewayListener,
    HAProxy,
    HAProxyUnusable,
    Listener,
    NodeSettings,
    find_haproxy,
    gateway_config,
    is_quiet,
    management_config,
    map_files,
    system_ca,
)

if TYPE_CHECKING:
    from ostiary.app import Settings

MANAGEMENT, GATEWAY = "management HAProxy", "gateway HAProxy"
_READY_PATH = "/-/ready"
_ANSWERED = range(200, 500)
"""Below 500: whoever was asked is there and did not have to say that somebody else is not."""
_HAPROXY_ENVIRONMENT = {
    name: os.environ[name] for name in ("PATH", "LANG", "TZ", "SSL_CERT_FILE") if name in os.environ
}
"""A foreign program is told nothing it does not need: secrets may be in our environment."""
DRAIN_SECONDS = 5.0
"""What requests under way get to finish when everything stops."""


class Tree:
    """Everything `ostiary serve` starts."""

    listeners = (MANAGEMENT, GATEWAY)

    def __init__(self, settings: "Settings", directory: DataDirectory) -> None:
        self.directory = directory
        self._settings = settings
        self._authority = Authority(directory.tls)
        self._environment = _child_environment(settings)
        self._haproxy = _find_haproxy(settings.haproxy)

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
        settings = self._settings
        workers = [self._worker(index) for index in range(settings.workers)]
        management = self._listener(MANAGEMENT, "management", settings.management_port, "/oauth2/jwks")
        gateway = self._listener(GATEWAY, "gateway", settings.gateway_port, "/-/ready", "/gateway/jwks")
        return [workers, [self._agent()], [management, gateway]]

    def prepare(self) -> None:
        """Find HAProxy, write what the programs read, and have HAProxy check it.

        Raises:
            OperatorError: there is no HAProxy fit for it, or it refuses; says what to do.
        """
        self.renew_certificates()
        run = self.directory.run
        maps = self._node_settings().maps
        maps.mkdir(mode=0o700, exist_ok=True)
        for name in map_files():
            (maps / name).touch(mode=0o600)
        write_private(run / "management.cfg", management_config(Listener(**self._common("management"))))
        gateway = GatewayListener(
            **self._common("gateway"),
            http_port=self._settings.http_port,
            agent=self._node_settings().agent_socket.name,
            explained=self._node_settings().log_socket.name,
            backend_ca=system_ca(),
        )
        write_private(run / "gateway.cfg", gateway_config(gateway))
        try:
            self._haproxy.check(run, "management")
            self._haproxy.check(run, "gateway")
        except (BadConfiguration, HAProxyUnusable) as error:
            raise OperatorError(
                f"HAProxy {self._haproxy.version} refuses its configuration: {error}"
            ) from error

    def renew_certificates(self) -> bool:
        """Make our own server certificate where it is due; say whether it is a new one."""
        if self._settings.tls is not None:
            return install_given(self.directory.tls, self._settings.tls.certificate, self._settings.tls.key)
        host = urlsplit(self._settings.issuer_base).hostname
        return self._authority.ensure(names_to_cover(host), utc_now())

    def _common(self, name: str) -> dict[str, Any]:
        settings = self._settings
        port = settings.management_port if name == "management" else settings.gateway_port
        return {
            "port": port,
            "certificate": self._authority.server_file,
            "workers": tuple(self.directory.worker_socket(index).name for index in range(settings.workers)),
            "host": settings.address,
            "access_log": settings.gateway.access_log,
        }

    def _listener(self, title: str, name: str, port: int, *targets: str) -> Program:
        """One HAProxy; it is ready when each of `targets` is answered through the real listener."""
        address, tls = _reachable(self._settings.address), probe.unverified()

        async def is_ready() -> bool:
            statuses = [await probe.status_on_port(address, port, target, tls) for target in targets]
            return all(status in _ANSWERED for status in statuses)

        async def has_finished() -> bool:
            return await is_quiet(self.directory.run, name)

        return Program(
            title,
            self._haproxy.command(self.directory.run, name),
            {**_HAPROXY_ENVIRONMENT, **self._haproxy.environment},
            is_ready,
            stop_signal=signal.SIGUSR1,  # finish what is under way, accept nothing new
            stop_within=DRAIN_SECONDS,
            has_finished=has_finished,
            directory=self.directory.run,
            relay_output=True,
        )

    def _worker(self, index: int) -> Program:
        socket = self.directory.worker_socket(index)

        async def is_ready() -> bool:
            return await probe.status_on_socket(socket, _READY_PATH) in _ANSWERED

        command = (sys.executable, "-m", "ostiary.cli.worker", "--index", str(index))
        environment = self._environment
        return Program(
            f"worker {index}", command, environment, is_ready, stop_within=DRAIN_SECONDS, waits=True
        )

    def _agent(self) -> Program:
        socket = self.directory.run / "agent.sock"

        async def is_ready() -> bool:
            return await probe.status_on_socket(socket, "/ready") == 200

        command = (*self._node_settings().command(), "--wait")
        return Program("agent", command, self._environment, is_ready, waits=True)

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


def _find_haproxy(given: Path | None) -> HAProxy:
    try:
        return find_haproxy(given)
    except HAProxyUnusable as error:
        raise OperatorError(str(error)) from error


def _reachable(address: str) -> str:
    """An address of this machine on which a listener bound to `address` answers."""
    return {"0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104


def _child_environment(settings: "Settings") -> dict[str, str]:
    """This process's environment with exactly these settings, whatever they came from."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OSTIARY_")}
    return inherited | environment_of(settings)
