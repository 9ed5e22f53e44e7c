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
from ostiary.cli.bootstrap import load_node_authority
from ostiary.cli.certificates import (
    Authority,
    ensure_node_listener,
    install_given,
    names_to_cover,
    node_listener_files,
)
from ostiary.cli.data_directory import DataDirectory, write_private
from ostiary.cli.errors import OperatorError
from ostiary.cli.membership import load_identity
from ostiary.cli.roles import Role
from ostiary.cli.supervisor import Program
from ostiary.foundation.clock import utc_now
from ostiary.gateway import (
    CONTROL_PLANE_NAME,
    BadConfiguration,
    ControlPlanes,
    GatewayListener,
    HAProxy,
    HAProxyUnusable,
    Listener,
    NodeIdentity,
    NodeListener,
    NodeSettings,
    address_of,
    find_haproxy,
    gateway_config,
    is_quiet,
    management_config,
    map_files,
    prepare_own,
    system_ca,
)

if TYPE_CHECKING:
    from ostiary.app import Settings

MANAGEMENT, GATEWAY = "management HAProxy", "gateway HAProxy"
_COPY_WITHIN = 900.0
"""Seconds in which an agent without a plan has to have copied one, on a busy machine a large one too."""
_READY_PATH = "/-/ready"
_ANSWERED = range(200, 500)
"""Below 500: whoever was asked is there and did not have to say that somebody else is not."""
_HAPROXY_NEEDS = ("PATH", "LANG", "TZ", "SSL_CERT_FILE", "GLIBC_TUNABLES")
_HAPROXY_ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"} | {
    name: os.environ[name] for name in _HAPROXY_NEEDS if name in os.environ
}
"""A foreign program is told nothing it does not need: secrets may be in our environment. Decisions are many,
and read at random: the processor finds them sooner in pages of 2 MB."""
DRAIN_SECONDS = 5.0
"""What requests under way get to finish when everything stops."""


class Tree:
    """Everything one of the commands `serve`, `control-plane` and `gateway` starts."""

    def __init__(self, settings: "Settings", directory: DataDirectory, role: Role = Role.EVERYTHING) -> None:
        self.directory = directory
        self.role = role
        self._settings = settings
        self._authority = Authority(directory.tls)
        self._environment = _child_environment(settings)
        self._haproxy = _find_haproxy(settings.haproxy)
        self._node_certificate: bytes | None = None

    @property
    def listeners(self) -> tuple[str, ...]:
        """The HAProxy processes."""
        management = (MANAGEMENT,) if self.role.has_control_plane else ()
        return (*management, GATEWAY) if self.role.has_gateway else management

    def urls(self) -> Mapping[str, str | None]:
        """What `ready.json` says: where clients go, and what they trust."""
        settings, role = self._settings, self.role
        return {
            "management": f"https://localhost:{settings.management_port}" if role.has_control_plane else None,
            "gateway": f"https://localhost:{settings.gateway_port}" if role.has_gateway else None,
            "http": f"http://127.0.0.1:{settings.http_port}"
            if role.has_gateway and settings.http_port
            else None,
            "ca": None if settings.tls else str(self._authority.certificate_file),
            **({"nodes": f"https://localhost:{settings.node_port}"} if role is Role.CONTROL_PLANE else {}),
        }

    def stages(self) -> list[list[Program]]:
        """What is started, in order."""
        settings, stages, listeners = self._settings, [], []
        if self.role.has_control_plane:
            stages.append([self._worker(index) for index in range(settings.workers)])
            listeners.append(
                self._listener(MANAGEMENT, "management", settings.management_port, "/oauth2/jwks")
            )
        if self.role.has_gateway:
            stages.append([self._agent()])
            ready = ["/-/ready"]
            if self.role.has_control_plane:  # else it may be out of reach
                ready.append("/gateway/jwks")
            listeners.append(self._listener(GATEWAY, "gateway", settings.gateway_port, *ready))
        return [*stages, listeners]

    def prepare(self) -> None:
        """Find HAProxy, write what the programs read, and have HAProxy check it.

        Raises:
            OperatorError: there is no HAProxy fit for it, or it refuses; says what to do.
        """
        self.renew_certificates()
        run = self.directory.run
        written = {}
        if self.role.has_control_plane:
            management = Listener(**self._common("management"), metrics_port=self._settings.metrics_port)
            written["management"] = management_config(management, self._node_listener())
        if self.role.has_gateway:
            self._make_maps()
            written["gateway"] = gateway_config(self._gateway_listener())
        try:
            for name, text in written.items():
                write_private(run / f"{name}.cfg", text)
                self._haproxy.check(run, name)
        except (BadConfiguration, HAProxyUnusable) as error:
            raise OperatorError(
                f"HAProxy {self._haproxy.version} refuses its configuration: {error}"
            ) from error

    def _make_maps(self) -> None:
        maps = self._node_settings().maps
        maps.mkdir(mode=0o700, exist_ok=True)
        for name in map_files():
            (maps / name).touch(mode=0o600)
        prepare_own(self.directory.run)

    def _gateway_listener(self) -> GatewayListener:
        return GatewayListener(
            **self._common("gateway"),
            http_port=self._settings.http_port,
            agent=self._node_settings().agent_socket.name,
            explained=self._node_settings().log_socket.name,
            backend_ca=system_ca(),
            control_planes=self._control_planes(),
            metrics_port=0 if self.role.has_control_plane else self._settings.metrics_port,
        )

    def _node_listener(self) -> NodeListener | None:
        if self.role is not Role.CONTROL_PLANE:
            return None
        sockets = [self.directory.nodes_socket(index).name for index in range(self._settings.workers)]
        files = node_listener_files(self.directory.tls)
        return NodeListener(self._settings.node_port, files.certificate, files.authority, tuple(sockets))

    def _control_planes(self) -> ControlPlanes | None:
        if self.role is not Role.GATEWAY:
            return None
        identity = self._identity()
        addresses = tuple(address_of(url) for url in identity.control_planes)
        files = (identity.certificate_file, identity.authority_file)
        return ControlPlanes(addresses, *files, CONTROL_PLANE_NAME)

    def _identity(self) -> NodeIdentity:
        identity = load_identity(self.directory)
        if identity is None:
            raise OperatorError(f"{self.directory.path} is no enrolled gateway: start it with --enrol TOKEN")
        return identity

    def renew_certificates(self) -> bool:
        """Make our own certificates where they are due; say whether HAProxy has to take up a new one."""
        renewed = [self._renew_server_certificate()]
        if self.role is Role.CONTROL_PLANE:
            renewed.append(
                ensure_node_listener(self.directory, load_node_authority(self._settings), utc_now())
            )
        if self.role is Role.GATEWAY:
            before, self._node_certificate = (
                self._node_certificate,
                self._identity().certificate_file.read_bytes(),
            )
            renewed.append(before not in (None, self._node_certificate))
        return any(renewed)

    def _renew_server_certificate(self) -> bool:
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
            "node": "embedded" if self.role is not Role.GATEWAY else self._identity().name,
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
        within = _COPY_WITHIN + self._settings.gateway.announce_key_for.total_seconds()
        return Program("agent", command, self._environment, is_ready, start_within=within, waits=True)

    def _node_settings(self) -> NodeSettings:
        settings, policy = self._settings, self._settings.outbound_policy
        return NodeSettings(
            data_directory=self.directory.path,
            control_plane=tuple(self.directory.worker_socket(index) for index in range(settings.workers)),
            is_enrolled=self.role is Role.GATEWAY,
            gateway=settings.gateway,
            allowed_networks=policy.allowed_networks,
            own_ports=policy.own_ports,
            log_format=settings.log_format,
            haproxy=self._haproxy.binary,
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
