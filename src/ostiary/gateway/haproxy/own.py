"""Backends of their own: several addresses, health checks, own certificates. Everything else shares one.

A pure function of an API's backend: which calls need one, what of it HAProxy's configuration says, and what
stands in the map and the files beside it. What a publisher wrote is in the map (`own.map`), which belongs to
the configuration and never changes under a running worker, or in files named by their content. The one
exception is a host name that a health check over TLS has to name: the configuration is given it only as
letters, digits, dots and dashes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ostiary.gateway.haproxy.decisions import encode
from ostiary.gateway.haproxy.hygiene import quoted
from ostiary.gateway.haproxy.resources import Address, Resolve, Unsupported, take_apart
from ostiary.gateway.plan import API, Backend

OWN_CONFIG: Final = "own.cfg"
OWN_MAP: Final = "own.map"
OWN_FILES: Final = "own"
"""The folder of certificates and keys, beside the configuration."""
KEY_TYPES: Final = ("production", "sandbox")
FAILURES_IN_A_ROW: Final = 5
"""Failures of a target without an answer between them; beyond, one call a second tries it."""
_ID: Final = re.compile(r"[0-9a-zA-Z-]{1,64}")
_HOST_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?")
_PATH: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,=:@/-]{0,250}")
_CHECK_EVERY: Final = "inter 2s fastinter 500ms downinter 1s fall 3 rise 1"
_NO_ADDRESS: Final = "127.0.0.1:1"

Own = Callable[[str], str]
"""Name of a backend of an API's own → what a route says of it: `@NAME` when it is in service, `!pending`,
`!quarantined`, or the addresses that served before."""

Slots = tuple[tuple[str, int], ...]
"""IP address and port of each server of a backend, in order."""


@dataclass(frozen=True, slots=True)
class OwnBackend:
    """One backend of its own: a section of the configuration, entries of its map, files."""

    name: str
    api_id: str
    section: str
    """Without its servers' addresses where these change at run time: the addresses are in `slots`."""
    slots: Slots
    map: Mapping[str, str]
    files: Mapping[str, str]
    """File name → PEM."""

    @property
    def text(self) -> str:
        """The section as the configuration has it."""
        lines = self.section
        for number, (address, port) in enumerate(self.slots, 1):
            where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            lines = lines.replace(f"«{number}»", where)
        return lines


def not_served(_name: str) -> str:
    """Say that no backend of an API's own is in service."""
    return "!pending"


def own_name(api_id: str, key_type: str) -> str:
    """Name the backend of an API's own."""
    return f"own-{api_id}-{key_type}"


def needs_own(backend: Backend, urls: Sequence[str]) -> bool:
    """Whether calls to these addresses cannot share a backend with other APIs."""
    if not urls:
        return False
    if backend.health_check or backend.connect_timeout_ms or backend.ca or backend.client_certificate:
        return True
    if backend.breaker_failures or backend.breaker_pause_seconds:
        return True
    https = any(url.startswith("https:") for url in urls)
    return bool(https and backend.server_name) or (len(urls) > 1 and _alike(urls))


def own_backends(apis: Iterable[API], resolve: Resolve) -> list[OwnBackend]:
    """Draw every backend of its own that these APIs need; one that cannot be drawn is left out.

    An API that nobody may call has none.
    """
    drawn = []
    for api in sorted(apis, key=lambda one: one.id):
        for key_type in KEY_TYPES if api.state not in {"CREATED", "RETIRED"} else ():
            if needs_own(api.backend, getattr(api.backend, key_type)):
                try:
                    drawn.append(own_backend(api, key_type, resolve))
                except Unsupported:
                    continue  # the map says so where the API is drawn
    return drawn


def own_backend(api: API, key_type: str, resolve: Resolve) -> OwnBackend:
    """Draw the backend of an API's own for one type of keys.

    Raises:
        Unsupported: something about it cannot be configured.
    """
    backend, urls = api.backend, getattr(api.backend, key_type)
    if not _ID.fullmatch(api.id):
        raise Unsupported("an identifier that cannot name a backend")
    if not _alike(urls):
        raise Unsupported("several addresses of one backend have one scheme and path")
    name, addresses = own_name(api.id, key_type), [take_apart(url) for url in urls]
    https = addresses[0].scheme == "https"
    servers = [(ip, one) for one in addresses for ip in one.resolved(resolve)]
    files = _files(backend) if https else {}
    lines = [
        f"backend {name} from services",
        *_how(backend, len(servers)),
        *_tls_line(backend, https=https, files=files),
    ]
    check = _check(backend, addresses, https=https, several=len(urls) > 1)
    for number, _ in enumerate(servers, 1):
        lines.append(f"    server {name}-{number} «{number}»{check}")
    entries = _entries(name, api, addresses[0], servers)
    slots = tuple((ip, one.port) for ip, one in servers)
    return OwnBackend(name, api.id, "\n".join(lines) + "\n", slots, entries, files)


def own_config(backends: Iterable[OwnBackend]) -> str:
    """Write the configuration of all backends of their own."""
    return "".join(
        ["# Written by the gateway's agent; changes are overwritten.\n", *(b.text for b in backends)]
    )


def own_map(backends: Iterable[OwnBackend]) -> str:
    """Write the map that belongs to that configuration."""
    return "".join(f"{key} {value}\n" for one in backends for key, value in one.map.items())


def _alike(urls: Sequence[str]) -> bool:
    try:
        return len({(one.scheme, one.base) for one in map(take_apart, urls)}) == 1
    except Unsupported:
        return False


def _how(backend: Backend, servers: int) -> list[str]:
    lines = [
        "    balance roundrobin",
        "    option redispatch 1",
        f"    retries {min(max(servers, 1), 3)}",
        "    http-reuse always",
    ]
    if backend.connect_timeout_ms is not None:
        lines.append(f"    timeout connect {int(backend.connect_timeout_ms)}ms")
    lines += _breaker(backend)
    if backend.health_check is not None:
        if not _PATH.fullmatch(backend.health_check):
            raise Unsupported("the path of a health check has only plain segments")
        lines += [
            "    option httpchk",
            f"    http-check send meth GET uri-lf %[be_name,concat(.check),map_str(maps/{OWN_MAP})]"
            f" ver HTTP/1.1 hdr Host %[be_name,concat(.host),map_str(maps/{OWN_MAP})]"
            " hdr User-Agent ostiary-health-check hdr Connection close",
            "    http-check expect status 200-399",
        ]
    return lines


def _breaker(backend: Backend) -> list[str]:
    """Count failures in a row for this API alone, and say when what is failing may be tried.

    gateway.cfg refuses what has `FAILURES_IN_A_ROW` in its second number until the time in its first.
    """
    if backend.breaker_failures is None and backend.breaker_pause_seconds is None:
        return []
    failures = int(backend.breaker_failures or FAILURES_IN_A_ROW)
    pause = int(backend.breaker_pause_seconds or 1)
    failed = "if { status ge 502 } !{ var(txn.answered) -m bool }"
    enough = f"{{ sc_get_gpt(2,10) ge {failures} }}"
    return [
        "    http-response sc-set-gpt(2,10) int(0) if { sc_get_gpt(2,10) gt 0 }",
        f"    http-after-response sc-set-gpt(2,10) sc_get_gpt(2,10),add(1) {failed}",
        f"    http-after-response sc-set-gpt(1,10) int(0) {failed} !{enough}",
        f"    http-after-response sc-set-gpt(1,10) int({FAILURES_IN_A_ROW}) {failed} {enough}",
        f"    http-after-response sc-set-gpt(0,10) date({pause}) {failed} {enough}",
    ]


def _tls_line(backend: Backend, *, https: bool, files: Mapping[str, str]) -> list[str]:
    if not https:
        return []
    ca = next((name for name in files if name.endswith(".ca.pem")), None)
    crt = next((name for name in files if name.endswith(".client.pem")), None)
    words = ["ssl", "verify", "required", "alpn", "http/1.1"]
    words += ["ca-file", f"{OWN_FILES}/{ca}"] if ca else ["ca-file", "«system_ca»"]
    words += ["crt", f"{OWN_FILES}/{crt}"] if crt else []
    words += ["sni", f"srv_name,map_str(maps/{OWN_MAP},-)"]
    return [f"    default-server {' '.join(words)}"]


def _check(backend: Backend, addresses: Sequence[Address], *, https: bool, several: bool) -> str:
    """The words of a server that say whether and how its health is watched."""
    if backend.health_check is None and not several:
        return ""
    words = f" check {_CHECK_EVERY} observe layer4 error-limit 3 on-error mark-down"
    if not https:
        return words
    if backend.health_check is None:
        return words + " no-check-ssl"
    names = {backend.server_name or one.host for one in addresses}
    if len(names) > 1 or not _HOST_NAME.fullmatch(min(names)):
        raise Unsupported("a health check over TLS needs one plain host name for all addresses")
    return f"{words} check-sni {min(names)}"


def _entries(name: str, api: API, first: Address, servers: Sequence[tuple[str, Address]]) -> dict[str, str]:
    """What HAProxy and Lua look up: Host and path of a call, of a check, and each server's TLS name."""
    entries = {name: f"{encode(first.authority)}+{encode(first.base)}", f"{name}.host": first.authority}
    if api.backend.health_check is not None:
        entries[f"{name}.check"] = api.backend.health_check
    if first.scheme == "https":
        for number, (_, one) in enumerate(servers, 1):
            entries[f"{name}-{number}"] = _tls_name(api.backend, one)
    return entries


def _tls_name(backend: Backend, address: Address) -> str:
    """The name a certificate must have. HAProxy compares no IP addresses in certificates, only names."""
    if backend.server_name is not None:
        return backend.server_name
    if address.is_literal:
        raise Unsupported("https to an IP address needs a server_name: the name in its certificate")
    return address.host


def _files(backend: Backend) -> dict[str, str]:
    files = {}
    if backend.ca is not None:
        files[_file_name(backend.ca, "ca")] = backend.ca
    if backend.client_certificate is not None:
        if backend.client_key is None:
            raise Unsupported("a client certificate without its key")
        both = f"{backend.client_certificate.rstrip()}\n{backend.client_key}"
        files[_file_name(both, "client")] = both
    return files


def _file_name(content: str, kind: str) -> str:
    """Named by content: equal authorities are loaded once, and a changed file is another file."""
    return f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.{kind}.pem"


def with_system_ca(text: str, system_ca: str | None) -> str:
    """Name the system's authorities, where there are any; without, such a server cannot be configured."""
    return text.replace("«system_ca»", quoted(system_ca)) if system_ca else text
