"""The two HAProxy configurations: the gateway listener, driven by maps, and the management listener, static.

Pure text. HAProxy runs in the folder of its sockets (`run/`), so sockets and maps have short relative names.
What is checked before Lua runs, and in which order, is here; what a refusal looks like is in refusals.lua.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from ostiary.gateway.haproxy.decisions import PERIODS
from ostiary.gateway.haproxy.hygiene import (
    DOT_SEGMENT,
    EDGE_HEADERS,
    GOOD_ESCAPES,
    PATH_AT_MOST,
    PROTOCOL_PATH,
    STRAY_CHARACTER,
    quoted,
)
from ostiary.gateway.haproxy.maps import MAPS, PLAN_KEY, PLAN_MAP

LUA: Final = Path(__file__).parent
HEADERS_AT_MOST: Final = 16384
"""Bytes; above it 431. HAProxy itself cannot read more than 24,576 and answers those with 400."""
TOKEN_BODY_AT_MOST: Final = 65536
"""Bytes of a form at a protocol endpoint; above it 413."""
UNDECLARED_BODY_AT_MOST: Final = 16384
"""The same where the length is not declared, so that it has to fit into the buffer to be known."""
MANAGEMENT_BODY_AT_MOST: Final = 10 * 2**20
REFUSED_CREDENTIALS_AT_MOST: Final = 300
"""Refused credentials in 10 seconds, per address (IPv6: per /64); beyond, unknown ones are not asked about."""
_EXPIRE: Final = {"second": "10s", "minute": "2m", "hour": "2h", "day": "25h", "month": "24d"}
"""Longer than the window. A table entry lives 24.8 days at most, so a month's count of a subscription that
was silent for that long begins again."""
_STATUSES: Final = (400, 401, 403, 404, 405, 413, 429, 431, 503)
_OWN_FAILURES: Final = {
    400: ("400", "Bad Request", "The request cannot be read, or its headers are too large"),
    408: ("408", "Request Timeout", "The request did not arrive in time"),
    500: ("900900", "Unclassified Authentication Failure", "The gateway could not decide"),
    502: ("101500", "Runtime Error", "The backend did not answer as HTTP"),
    503: ("303001", "Runtime Error", "The backend is not reachable"),
    504: ("101504", "Runtime Error", "The backend did not answer in time"),
}

AccessLog = Literal["all", "refused", "off"]


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
    access_log: AccessLog = "refused"


@dataclass(frozen=True, slots=True)
class GatewayListener(Listener):
    """The gateway listener's own settings."""

    http_port: int = 0
    """A cleartext copy on loopback; 0 is none."""
    agent: str = "agent.sock"
    backend_ca: Path | None = None
    """Whom https backends are verified against, a PEM file; without one they cannot be called."""
    lua: Path = field(default=LUA)


def gateway_config(listener: GatewayListener) -> str:
    """Write the configuration of the gateway listener; the same for every plan."""
    return _lines(
        _global("gateway", listener.threads),
        _lua(listener),
        _defaults(),
        _counters(),
        _gateway_frontend(listener),
        _refusals(),
        _services(listener),
        _workers(listener.workers),
    )


def management_config(listener: Listener) -> str:
    """Write the configuration of the management listener: everything but `/internal` goes to the workers."""
    return _lines(
        _global("management", listener.threads),
        _defaults(),
        _management_frontend(listener),
        _workers(listener.workers),
    )


def _global(name: str, threads: int | None) -> list[str]:
    return [
        "global",
        "    log stdout format raw local0 info",
        f"    stats socket unix@{name}.stats.sock mode 600 level admin expose-fd listeners",
        "    localpeer local",
        "    maxconn 20000",
        "    no strict-limits",
        "    noreuseport",
        "    hard-stop-after 30s",
        *([f"    nbthread {threads}"] if threads else []),
        "    tune.bufsize 32768",
        "    tune.maxrewrite 8192",
        "    tune.lua.session-timeout 1s",
        "    tune.lua.burst-timeout 500",
        "    httpclient.retries 0",
        "    httpclient.timeout.connect 500",
        "    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets",
        "    ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20",
        "    ssl-default-server-options ssl-min-ver TLSv1.2",
    ]


def _lua(listener: GatewayListener) -> list[str]:
    folder = quoted(str(listener.lua))
    decide, refusals = quoted(f"{listener.lua}/decide.lua"), quoted(f"{listener.lua}/refusals.lua")
    return [
        f"    lua-load-per-thread {decide} {folder} {MAPS} {listener.agent}",
        f"    lua-load-per-thread {refusals}",
        "",
    ]


def _defaults() -> list[str]:
    failures = [
        f"    http-error status {status} content-type application/json string"
        f' \'{{"code":"{code}","message":"{message}","description":"{description}"}}\' hdr Cache-Control no-store'
        for status, (code, message, description) in _OWN_FAILURES.items()
    ]
    return [
        "defaults",
        "    mode http",
        "    log global",
        "    option dontlognull",
        "    option idle-close-on-response",
        "    timeout http-request 10s",
        "    timeout http-keep-alive 60s",
        "    timeout client 60s",
        "    timeout client-fin 10s",
        "    timeout connect 3s",
        "    timeout queue 5s",
        "    timeout server 30s",
        "    timeout tunnel 1h",
        "    retries 1",
        "    retry-on conn-failure",
        "    unique-id-format %[uuid()]",
        *failures,
        "",
    ]


def _counters() -> list[str]:
    """One table a period, counted in windows by the number in the key, and carried over a reload."""
    tables = [
        line
        for period in PERIODS
        for line in (
            f"backend per_{period}",
            f"    stick-table type string len 64 size 1m expire {_EXPIRE[period]} store gpc(1) peers local",
        )
    ]
    return [
        "peers local",
        "    bind unix@gateway.peers.sock mode 600",
        "    server local",
        *tables,
        "backend refused_credentials",
        "    stick-table type ipv6 size 100k expire 20s store gpc(1),gpc_rate(1,10s)",
        "",
    ]


def _bind(listener: Listener) -> str:
    return f"    bind {listener.host}:{listener.port} ssl crt {quoted(str(listener.certificate))} alpn h2,http/1.1"


def _log(kept: AccessLog) -> list[str]:
    if kept == "off":
        return ["    no log"]
    parts = (
        '"event":"access","request_id":"%ID","method":"%HM","path":"%[var(txn.logged_path)]","status":%ST',
        '"api":"%[var(txn.api)]","refusal":"%[var(txn.refusal)]","client":"%ci","milliseconds":%Ta',
        '"bytes":%B,"termination":"%ts"',
    )
    silent = (
        ["    http-after-response set-log-level silent if { status lt 400 }"] if kept == "refused" else []
    )
    return [f"    log-format '{{{','.join(parts)}}}'", *silent]


def _hygiene(refuse: str) -> list[str]:
    """Refuse what could be read in two ways, so that the path decided on is the path forwarded."""
    return [
        f"    {refuse} if {{ fc_http_major 1 }} !{{ url -m beg / }}",
        f"    {refuse} unless {{ path -m beg / }}",
        f"    {refuse} if {{ path,length gt {PATH_AT_MOST} }}",
        f"    {refuse} if {{ path -m sub // }}",
        f"    {refuse} if {{ path -m reg {quoted(STRAY_CHARACTER)} }}",
        f"    {refuse} if {{ path -m sub /. }} {{ path -m reg {quoted(DOT_SEGMENT)} }}",
        f"    {refuse} if {{ path -m sub % }} !{{ path -m reg {quoted(GOOD_ESCAPES)} }}",
        f"    {refuse} if {{ req.fhdr_cnt(authorization) gt 1 }}",
    ]


def _edge_headers() -> list[str]:
    """Headers that only we may set, in every spelling, then ours."""
    return [
        f"    http-request del-header {quoted(EDGE_HEADERS)} -m reg",
        "    http-request set-header X-Request-Id %[unique-id]",
        "    http-request set-header X-Forwarded-For %[src]",
        "    http-request set-header X-Forwarded-Proto https if { ssl_fc }",
        "    http-request set-header X-Forwarded-Proto http unless { ssl_fc }",
    ]


def _gateway_frontend(listener: GatewayListener) -> list[str]:
    refuse = "http-request set-var(txn.refusal) str(%s)"
    cleartext = [f"    bind 127.0.0.1:{listener.http_port}"] if listener.http_port else []
    return [
        "frontend gateway",
        _bind(listener),
        *cleartext,
        *_log(listener.access_log),
        "    http-after-response set-header X-Request-Id %[unique-id]",
        f"    acl planned str({PLAN_KEY}),map_str({MAPS}/{PLAN_MAP}) -m found",
        "    acl refused var(txn.refusal) -m found",
        f"    acl protocol path -m reg {quoted(PROTOCOL_PATH)}",
        "    acl missed var(txn.miss) -m bool",
        "    acl limited var(txn.counter) -m found",
        "    http-request set-var(txn.logged_path) path,json(utf8s)",
        *_ready(),
        *_hygiene(refuse % "bad_request"),
        f"    {refuse % 'headers_too_large'} if {{ req.hdrs,length gt {HEADERS_AT_MOST} }}",
        "    http-request allow if refused",
        *_edge_headers(),
        *_protocol_body(refuse % "body_too_large"),
        "    http-request allow if protocol",
        "    http-request lua.await_plan unless planned",
        "    http-request allow if refused",
        "    http-request set-var(txn.credential) http_auth_bearer,sha2(256),hex,lower",
        *_decision(refuse),
        *_throttle(refuse % "throttled"),
        "    use_backend refusals if refused",
        "    use_backend workers if protocol",
        "    use_backend https_services if { var(txn.allow) -m int 1 } { var(txn.sni) -m found }",
        "    use_backend http_services if { var(txn.allow) -m int 1 }",
        "    default_backend refusals",
        "",
    ]


def _ready() -> list[str]:
    answer = "    http-request return status %d content-type application/json string '{\"ready\":%s}' hdr Cache-Control no-store"
    return [
        f"{answer % (200, 'true')} if {{ path /-/ready }} planned",
        f"{answer % (503, 'false')} if {{ path /-/ready }}",
    ]


def _protocol_body(refuse: str) -> list[str]:
    return [
        f"    {refuse} if protocol {{ req.body_size gt {TOKEN_BODY_AT_MOST} }}",
        "    http-request wait-for-body time 5s at-least 16385 if protocol !{ req.hdr(content-length) -m found }",
        f"    {refuse} if protocol !{{ req.hdr(content-length) -m found }} {{ req.body_len gt {UNDECLARED_BODY_AT_MOST} }}",
    ]


def _decision(refuse: str) -> list[str]:
    """Lua decides; the first rule after it refuses whatever it has not explicitly allowed."""
    too_many = f"{{ sc_gpc_rate(0,1,refused_credentials) gt {REFUSED_CREDENTIALS_AT_MOST} }}"
    return [
        "    http-request lua.decide",
        "    http-request track-sc1 src,ipmask(32,64) table refused_credentials if missed",
        f"    {refuse % 'guessing'} if missed {too_many}",
        "    http-request lua.ask if missed !refused",
        f"    {refuse % 'internal'} if !refused !{{ var(txn.allow) -m int 1 }}",
        "    http-request sc-inc-gpc(0,1) if missed { var(txn.refusal) -m str invalid_token }",
        "    http-request allow if refused",
    ]


def _throttle(refuse: str) -> list[str]:
    """Count in one step with the comparison, so it is exact; a call that is refused anyway is not counted."""
    return [
        *(
            f"    http-request track-sc0 var(txn.counter) table per_{one} if {{ var(txn.per) -m str {one} }}"
            for one in PERIODS
        ),
        f"    {refuse} if limited !{{ sc_get_gpc(0,0),sub(txn.limit) lt 0 }}",
        f"    {refuse} if limited !refused !{{ sc_inc_gpc(0,0),sub(txn.limit) le 0 }}",
    ]


def _refusals() -> list[str]:
    answer = 'content-type application/json lf-string "%[var(txn.body)]" hdr Cache-Control no-store'
    return [
        "backend refusals",
        "    http-after-response set-header Content-Type application/xml if { var(txn.xml) -m bool }",
        "    http-after-response set-header WWW-Authenticate %[var(txn.challenge)] if { var(txn.challenge) -m found }",
        "    http-after-response set-header Retry-After %[var(txn.retry_after)] if { var(txn.retry_after) -m found }",
        "    http-after-response set-header Allow %[var(txn.methods)] if { var(txn.methods) -m found }",
        "    http-request lua.present",
        *(
            f"    http-request return status {status} {answer} if {{ var(txn.status) -m int {status} }}"
            for status in _STATUSES
        ),
        "    http-request return status 500 default-errorfiles",
        "",
    ]


def _services(listener: GatewayListener) -> list[str]:
    """One backend for all APIs of a TLS profile: where a call goes is a variable."""
    rules = [
        "    http-reuse always",
        "    http-request return status 500 default-errorfiles unless { var(txn.allow) -m int 1 }",
        "    http-request del-header authorization",
        "    http-request set-header X-JWT-Assertion %[var(txn.assertion)]",
        "    http-request set-header Host %[var(txn.authority)]",
        "    http-request set-path %[var(txn.path)]",
        "    http-request set-dst var(txn.address)",
        "    http-request set-dst-port var(txn.port)",
    ]
    return [
        "backend http_services",
        *rules,
        "    server service 0.0.0.0:0 pool-low-conn 1000",
        "backend https_services",
        *(rules if listener.backend_ca else []),
        *_https_server(listener.backend_ca),
        "",
    ]


def _https_server(ca: Path | None) -> list[str]:
    if ca is None:
        return ["    http-request return status 503 default-errorfiles"]
    verified = f"ssl verify required ca-file {quoted(str(ca))} sni var(txn.sni) alpn http/1.1"
    return [f"    server service 0.0.0.0:0 {verified} pool-low-conn 1000"]


def _workers(sockets: Iterable[str]) -> list[str]:
    """A killed worker is skipped at once (connecting fails) and rests until its check succeeds again."""
    servers = [
        f"    server worker-{number} unix@{socket} check inter 2s fastinter 500ms fall 3 rise 1"
        for number, socket in enumerate(sockets)
    ]
    return [
        "backend workers",
        "    balance leastconn",
        "    option redispatch 1",
        "    retries 3",
        "    timeout server 60s",
        "    timeout check 2s",
        "    option httpchk GET /-/health",
        "    http-check expect rstatus ^[1-4]",
        *servers,
    ]


def _management_frontend(listener: Listener) -> list[str]:
    body = '{"code":"%s","message":"%s","description":"%s","traceId":"%%[unique-id]"}'
    refuse = "http-request return status %d content-type application/json lf-string '%s' hdr Cache-Control no-store"
    bad = refuse % (400, body % ("400", "Bad Request", "The path or the headers are ambiguous"))
    unknown = refuse % (404, body % ("404", "Not Found", "There is no such page"))
    headers = refuse % (431, body % ("431", "Request Header Fields Too Large", "The headers are too large"))
    large = refuse % (413, body % ("413", "Content Too Large", "The body is too large"))
    return [
        "frontend management",
        _bind(listener),
        *_log(listener.access_log),
        "    http-after-response set-header X-Request-Id %[unique-id]",
        "    http-request set-var(txn.logged_path) path,json(utf8s)",
        *_hygiene(bad),
        f"    {headers} if {{ req.hdrs,length gt {HEADERS_AT_MOST} }}",
        f"    {unknown} if {{ path -i -m reg {quoted('^(/t/[^/]+)?/internal(/|$)')} }}",
        f"    {large} if {{ req.body_size gt {MANAGEMENT_BODY_AT_MOST} }}",
        *_edge_headers(),
        "    default_backend workers",
        "",
    ]


def _lines(*sections: Iterable[str]) -> str:
    return "\n".join(line for section in sections for line in section) + "\n"
