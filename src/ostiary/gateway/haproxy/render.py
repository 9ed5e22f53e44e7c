"""The two HAProxy configurations, from the templates beside this file.

The gateway listener's is the same for every plan: what is published is in maps. The management listener
passes everything but `/internal` to the workers. HAProxy runs in the folder of its sockets (`run/`), so
sockets and maps have short relative names. Pure text; what a refusal looks like is in refusals.lua.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ostiary.foundation.web import NODE_HEADER
from ostiary.gateway.haproxy import access_log, hygiene
from ostiary.gateway.haproxy.access_log import AccessLog
from ostiary.gateway.haproxy.denied import DENIED_MAP
from ostiary.gateway.haproxy.hygiene import quoted
from ostiary.gateway.haproxy.lasting import LASTING, STREAMS_MAP
from ostiary.gateway.haproxy.maps import MAPS, PLAN_KEY, PLAN_MAP
from ostiary.gateway.haproxy.own import FAILURES_IN_A_ROW

HERE: Final = Path(__file__).parent
HEADERS_AT_MOST: Final = 16384
"""Bytes; above it 431. HAProxy itself cannot read more than 24,576 and answers those with 400."""
TOKEN_BODY_AT_MOST: Final = 65536
"""Bytes of a form at a protocol endpoint; above it 413."""
UNMEASURED_BODY_ENOUGH: Final = 16385
"""The same where the length is not declared: so many bytes are too many."""
LONG_BODY: Final = 4096
"""Bytes of the body of a refused call; from there on it may not fit into the buffer beside any headers."""
MANAGEMENT_BODY_AT_MOST: Final = 10 * 2**20
REFUSED_CREDENTIALS_AT_MOST: Final = 300
"""In 10 seconds from an address (IPv6: a /64); beyond, unknown credentials are refused unasked."""
FAILED_CLIENTS_AT_MOST: Final = 100
"""Failed client authentications in 10 seconds from an address (IPv6: a /64); beyond, none is tried."""
_LOGS: Final[Mapping[AccessLog, tuple[str, str]]] = {
    "all": ("notice", "notice"),
    "refused": ("notice", "silent"),
    "off": ("err", "silent"),
}
"""What of the log is printed, and the level of a call that went well; refused ones are warnings."""
CALLS_PER_TARGET: Final = 1000
"""Calls under way to one address in one organization; beyond, 503 at once."""
_TOKEN: Final = re.compile(r"«(include )?(\w+)»\n?")


@dataclass(frozen=True, slots=True)
class Listener:
    """What both listeners have; sockets are names relative to the folder HAProxy runs in."""

    port: int
    certificate: Path
    """PEM: certificate, chain and key."""
    workers: tuple[str, ...]
    """Sockets of the control plane's workers."""
    host: str = "*"
    threads: int | None = None
    """`None` is one for each core."""
    access_log: AccessLog = "refused"
    metrics_port: int = 0
    """Where Prometheus may ask, on loopback; 0 is nowhere."""
    node: str = "embedded"
    """What the access log says which node it is."""


@dataclass(frozen=True, slots=True)
class NodeListener:
    """Where gateway nodes on machines of their own reach the control plane."""

    port: int
    certificate: Path
    """PEM, with key: signed by `authority`."""
    authority: Path
    """PEM of the authority that certifies nodes, and nobody else."""
    workers: tuple[str, ...]
    """Sockets on which workers believe what this listener says of certificates."""


@dataclass(frozen=True, slots=True)
class ControlPlanes:
    """The node listeners a gateway node passes protocol endpoints on to."""

    addresses: tuple[str, ...]
    """`host:port` each."""
    certificate: Path
    """PEM, with key: the node's own."""
    authority: Path
    name: str
    """What a control plane is certified for, wherever it is."""


@dataclass(frozen=True, slots=True)
class GatewayListener(Listener):
    """The gateway listener's own settings."""

    http_port: int = 0
    """A cleartext copy on loopback; 0 is none."""
    agent: str = "agent.sock"
    explained: str = "agent.log.sock"
    """Where the agent takes the log lines of refused calls."""
    backend_ca: Path | None = None
    """Whom https backends are verified against, a PEM file; without one they cannot be called."""
    lua: Path = HERE
    calls_per_target: int = CALLS_PER_TARGET
    control_planes: ControlPlanes | None = None
    """Set on a node on a machine of its own; then there are no workers here."""


def gateway_config(listener: GatewayListener) -> str:
    """Write the configuration of the gateway listener."""
    cleartext = f"    bind 127.0.0.1:{listener.http_port}\n" if listener.http_port else ""
    values = _shared("gateway", listener) | {
        "body_at_most": str(TOKEN_BODY_AT_MOST),
        "unmeasured_body_enough": str(UNMEASURED_BODY_ENOUGH),
        "refused_credentials_at_most": str(REFUSED_CREDENTIALS_AT_MOST),
        "long_body": str(LONG_BODY),
        "calls_per_target": str(listener.calls_per_target),
        "failures_in_a_row": str(FAILURES_IN_A_ROW),
        "workers_path": quoted(hygiene.WORKERS_PATH),
        "lua": quoted(str(listener.lua)),
        "decide_lua": quoted(str(listener.lua / "decide.lua")),
        "refusals_lua": quoted(str(listener.lua / "refusals.lua")),
        "agent": listener.agent,
        "explained": listener.explained,
        "maps": MAPS,
        "plan_map": PLAN_MAP,
        "denied_map": DENIED_MAP,
        "streams_map": STREAMS_MAP,
        "lasting": " ".join(LASTING),
        "plan_key": PLAN_KEY,
        "cleartext_bind": cleartext,
        "metrics_bind": f"    bind 127.0.0.1:{listener.metrics_port}\n" if listener.metrics_port else "",
        "https_server": _https_server(listener.backend_ca),
    }
    if listener.control_planes is not None:
        values["workers"] = _control_planes(listener.control_planes)
    return _fill("gateway", values)


def management_config(listener: Listener, nodes: NodeListener | None = None) -> str:
    """Write the configuration of the management listener, and of the node listener where there is one."""
    values = _shared("management", listener) | {"body_at_most": str(MANAGEMENT_BODY_AT_MOST)}
    values["nodes"] = "" if nodes is None else _fill("nodes", values | _nodes(nodes))
    return _fill("management", values | {"metrics": _metrics(listener)})


def _metrics(listener: Listener) -> str:
    """The listener for Prometheus, beside the management listener; nothing where it is not wanted."""
    if not listener.metrics_port:
        return ""
    sockets = [socket.replace("worker-", "metrics-") for socket in listener.workers]
    servers = [f"    server worker-{n} unix@{socket}\n" for n, socket in enumerate(sockets)]
    return _fill("metrics", {"metrics_port": str(listener.metrics_port), "metrics_workers": "".join(servers)})


def _nodes(listener: NodeListener) -> dict[str, str]:
    workers = [f"    server worker-{n} unix@{socket}\n" for n, socket in enumerate(listener.workers)]
    return {
        "node_port": str(listener.port),
        "node_certificate": quoted(str(listener.certificate)),
        "node_authority": quoted(str(listener.authority)),
        "node_headers": quoted(hygiene.NODE_HEADERS),
        "node_header": NODE_HEADER,
        "protocol_path": quoted(hygiene.PROTOCOL_PATH),
        "node_workers": "".join(workers),
    }


def _control_planes(these: ControlPlanes) -> str:
    """Every connection is verified: whoever is not certified as a control plane gets no request."""
    tls = (
        f"ssl verify required ca-file {quoted(str(these.authority))} crt {quoted(str(these.certificate))} "
        f"sni str({these.name}) check-sni {these.name} verifyhost {these.name} alpn http/1.1"
    )
    places = [
        f"    server control-plane-{n} {address} {tls} init-addr last,libc,none\n"
        for n, address in enumerate(these.addresses)
    ]
    return "".join(places)


def _shared(name: str, listener: Listener) -> dict[str, str]:
    log_level, log_success = _LOGS[listener.access_log]
    workers = [f"    server worker-{n} unix@{socket}\n" for n, socket in enumerate(listener.workers)]
    return {
        "name": name,
        "threads": "" if listener.threads is None else f"    nbthread {listener.threads}\n",
        "host": listener.host,
        "port": str(listener.port),
        "certificate": quoted(str(listener.certificate)),
        "log_format": quoted(access_log.log_format(listener.node)),
        "log_level": log_level,
        "log_success": log_success,
        "traceparent": quoted(hygiene.TRACEPARENT),
        "path_at_most": str(hygiene.PATH_AT_MOST),
        "good_path": quoted(hygiene.GOOD_PATH),
        "edge_headers": quoted(hygiene.EDGE_HEADERS),
        "headers_at_most": str(HEADERS_AT_MOST),
        "client_path": quoted(hygiene.CLIENT_PATH),
        "failed_clients_at_most": str(FAILED_CLIENTS_AT_MOST),
        "workers": "".join(workers),
    }


def _https_server(ca: Path | None) -> str:
    if ca is None:
        return "    http-request return status 503 default-errorfiles\n"
    verified = f"ssl verify required ca-file {quoted(str(ca))} sni var(txn.outcome),field(10,^) alpn http/1.1"
    return f"    server service 0.0.0.0:0 {verified} pool-low-conn 1000\n"


def _fill(name: str, values: Mapping[str, str]) -> str:
    """Put values for the `«names»` of a template; a value that is whole lines replaces the whole line."""

    def put(token: re.Match[str]) -> str:
        value = _fill(token[2], values) if token[1] else values[token[2]]
        alone = token[0].endswith("\n") and (not value or value.endswith("\n"))
        return value if alone else value + token[0][token[0].index("»") + 1 :]

    text = (HERE / "templates" / f"{name}.cfg").read_text(encoding="utf-8")
    return _TOKEN.sub(put, text)
