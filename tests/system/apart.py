"""Control plane and gateway as they are started on two machines: `ostiary control-plane`, `ostiary gateway`.

Two process trees in two data directories, with nothing in common but TLS on loopback ports.
"""

import sys
from pathlib import Path

from tests.support.ports import free_ports
from tests.system.server import Server


class ControlPlaneServer(Server):
    """A control plane without a gateway."""

    def __init__(self, directory: Path, *, workers: int = 1) -> None:
        super().__init__(directory, workers=workers)
        (self.node_port,) = free_ports(1)

    def command(self, *options: str) -> list[str]:
        return [
            *(sys.executable, "-m", "ostiary", "control-plane", "--data-dir", str(self.directory)),
            *("--management-port", str(self.management_port), "--node-port", str(self.node_port)),
            *("--workers", str(self.workers), *options),
        ]

    @property
    def nodes_url(self) -> str:
        return f"https://127.0.0.1:{self.node_port}"

    def token(self, name: str = "edge-1") -> str:
        """A one-time token for a node of that name."""
        done = self.ostiary("nodes", "add", name)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def listed(self) -> str:
        """What `ostiary nodes list` prints."""
        done = self.ostiary("nodes", "list")
        assert done.returncode == 0, done.stderr
        return done.stdout


class GatewayServer(Server):
    """A gateway node without a control plane."""

    def __init__(self, directory: Path, *, http: bool = False) -> None:
        super().__init__(directory, http=http)
        self.environment = {"OSTIARY_GATEWAY__JWKS_MAX_AGE": "1"}

    def command(self, *options: str) -> list[str]:
        return [
            *(sys.executable, "-m", "ostiary", "gateway", "--data-dir", str(self.directory)),
            *("--gateway-port", str(self.gateway_port), "--http-port", str(self.http_port), *options),
        ]

    def enrol(self, control_plane: ControlPlaneServer, name: str = "edge-1") -> "GatewayServer":
        """Start for the first time."""
        self.start("--control-plane", control_plane.nodes_url, OSTIARY_ENROL=control_plane.token(name))
        return self
