"""Settings of the gateway: the control plane's part (section `[gateway]`) and a node's agent's own."""

from __future__ import annotations

import sys
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from pydantic import Field

from ostiary.foundation.settings import Section
from ostiary.foundation.telemetry import LogFormat
from ostiary.gateway.haproxy.access_log import AccessLog

_SECOND = timedelta(seconds=1)
_MARGIN = timedelta(seconds=10)
LONG_POLL = timedelta(seconds=25)
"""How long a node's question for changes waits for one."""
GRACE = timedelta(seconds=5)
"""How long an answer of the control plane may take besides. A node is seen when it asks."""


class GatewaySettings(Section):
    """How the gateway behaves. Numbers are seconds; ISO 8601 durations are understood too."""

    jwks_max_age: timedelta = Field(default=timedelta(seconds=300), ge=_SECOND)
    """How long backends may cache `/gateway/jwks`; a node's key, its first too, waits longer to sign."""

    decision_lifetime: timedelta = Field(default=timedelta(minutes=15), ge=_SECOND)
    """The longest a stored decision lives, however long its token does."""

    max_decisions: int = Field(default=100_000, ge=256, le=200_000)
    """Stored decisions on a node: about 1.5 KB each in HAProxy and 3 KB in the agent."""

    max_offline: timedelta = Field(default=timedelta(hours=24), ge=_SECOND)
    """How long a node decides by its last plan while no control plane answers."""

    node_certificate_lifetime: timedelta = Field(default=timedelta(days=7), ge=timedelta(minutes=10))
    """How long the certificate of a gateway node is good; it renews itself after a third of that."""

    resolve_every: timedelta = Field(default=timedelta(seconds=30), ge=_SECOND)
    """How often the names of backends are resolved again."""

    explanations_kept: timedelta = Field(default=timedelta(hours=24), ge=_SECOND)
    """How long `ostiary explain` can tell why a call was refused; the newest 50,000 are kept at most."""

    access_log: AccessLog = "refused"
    """Which requests both listeners log, one JSON object a line: `all`, `refused` (and failed), or `off`."""

    usage_every: timedelta = Field(default=timedelta(seconds=10), ge=timedelta(seconds=0.1))
    """How often a node tells the control plane what was called; what it has not told yet is on its disk."""

    usage_kept: timedelta = Field(default=timedelta(days=400), ge=timedelta(days=1))
    """How long it is known what was called in which hour."""

    @property
    def announce_key_for(self) -> timedelta:
        """How long a key of a node is published before it signs: longer than the list may be cached."""
        return self.jwks_max_age + min(_MARGIN, self.jwks_max_age)

    @property
    def node_in_use_for(self) -> timedelta:
        """How long after a node was seen a list of keys that was fetched for its calls may be cached.

        It decides while it is offline, what it has decided goes on for a while, and then comes the last list.
        """
        return LONG_POLL + GRACE + self.max_offline + self.decision_lifetime + self.announce_key_for


class NodeSettings(Section):
    """What the agent process is started with: the gateway's settings and where things are."""

    data_directory: Path
    control_plane: tuple[Path, ...] = ()
    """Unix sockets of the workers, any one that answers will do; none: all of this data directory's."""

    is_enrolled: bool = False
    """On a machine of its own: `DIR/node/identity.json` says who it is, and where the control planes are."""

    gateway: GatewaySettings = GatewaySettings()
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] | None = None
    """`outbound.allowed_networks`; `None` is loopback alone."""

    own_ports: frozenset[int] = frozenset()
    """Our listeners' ports, which no backend may name."""

    log_format: LogFormat = "text"
    haproxy: Path | None = None
    """The program that checks backends of APIs' own before they are loaded; `None` is the one found."""

    def command(self) -> tuple[str, ...]:
        """Return the command line that starts an agent with these settings; it holds no secret."""
        document = self.model_dump_json(exclude={"data_directory"})
        directory = str(self.data_directory)
        return (
            sys.executable,
            "-m",
            "ostiary.gateway.node",
            "--data-dir",
            directory,
            "--settings",
            document,
        )

    @property
    def workers(self) -> tuple[Path, ...]:
        """The workers' sockets, as said or as found."""
        return self.control_plane or tuple(sorted(self.run.glob("worker-*.sock")))

    @property
    def run(self) -> Path:
        """Sockets and map files."""
        return self.data_directory / "run"

    @property
    def maps(self) -> Path:
        """The folder HAProxy loads its maps from."""
        return self.run / "maps"

    @property
    def agent_socket(self) -> Path:
        """Where HAProxy asks about misses."""
        return self.run / "agent.sock"

    @property
    def statistics_socket(self) -> Path:
        """Where HAProxy's current worker answers commands."""
        return self.run / "gateway.stats.sock"

    @property
    def log_socket(self) -> Path:
        """Where HAProxy sends the log lines of refused calls."""
        return self.run / "agent.log.sock"

    @property
    def master_socket(self) -> Path:
        """HAProxy's master socket."""
        return self.run / "gateway.master.sock"

    @property
    def own(self) -> Path:
        """What only this node has: its credential, keys and last plan."""
        return self.data_directory / "node"
