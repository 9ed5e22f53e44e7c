"""The resources and backend addresses of an API, written as the map values that the Lua files read.

A call's path segment is percent-decoded before it is compared, so literals have one canonical encoding, and
`/caf%C3%A9`, `/café` and `/caf%c3%a9` are one resource. A trailing slash is no difference.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from ostiary.gateway.haproxy.decisions import PERIODS, encode
from ostiary.gateway.plan import Limit, Resource

Resolve = Callable[[str, int], Sequence[str]]
"""(host name, port) → IP addresses, none when the name is unknown now."""

CHUNK: Final = 8192
"""A run-time command is capped at HAProxy's buffer size."""
NO_SUCH_BACKEND: Final = "-"
_ADDRESSES_AT_MOST: Final = 8
_SEGMENTS_AT_MOST: Final = 64
_METHOD: Final = re.compile(r"[A-Z]{1,20}")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §3.3
_AUTH: Final = frozenset({"any", "application", "user", "none"})
_PLACEHOLDER: Final = re.compile(r"\{[A-Za-z0-9_.-]+\}")
_BASE_PATH: Final = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,=:@-]+)*")
_DEFAULT_PORT: Final = {"http": 80, "https": 443}


class Unsupported(ValueError):
    """This API says something the gateway cannot enforce; it is refused as a whole, never in part."""


def resources_value(resources: Iterable[Resource]) -> str:
    """Write all resources of an API, in a canonical order.

    Raises:
        Unsupported: a template, method or scope the gateway cannot enforce, or two resources that say
            different things about the same calls.
    """
    said: dict[str, str] = {}
    for resource in resources:
        if not _METHOD.fullmatch(resource.method):
            raise Unsupported(f"method {resource.method!r}")
        key = f"{resource.method}:{template(resource.path)}"
        rules = ":".join((_scopes(frozenset(resource.scopes)), *_more(key, resource)))
        if said.setdefault(key, rules) != rules:
            raise Unsupported(f"two resources for {resource.method} {resource.path}")
    return "|".join(f"{key}:{said[key]}" for key in sorted(said))


def _more(key: str, resource: Resource) -> Iterator[str]:
    """Write what a resource says by name, beside its scopes."""
    if resource.auth not in _AUTH:
        raise Unsupported(f"auth {resource.auth!r}")
    if resource.auth != "any":
        yield f"auth={resource.auth}"
    if resource.limit is not None:
        counted_as = hashlib.sha256(key.encode()).hexdigest()[:16]
        yield f"limit={limit_value(resource.limit)}+{counted_as}"


def limit_value(limit: Limit) -> str:
    """Write a limit that all callers share.

    Raises:
        Unsupported: a period the gateway does not count in.
    """
    if limit.per not in PERIODS:
        raise Unsupported(f"a limit per {limit.per}")
    return f"{limit.requests}+{limit.per}"


def template(path: str) -> str:
    """Write a path template: `{}` for each placeholder, a last `*` for the rest, literals percent-encoded."""
    if not path.startswith("/"):
        raise Unsupported(f"path {path!r} does not begin with a slash")
    segments = path.removesuffix("/").split("/")[1:]
    if len(segments) > _SEGMENTS_AT_MOST:
        raise Unsupported("a path of so many segments")
    written = [_segment(one, is_last=position == len(segments)) for position, one in enumerate(segments, 1)]
    return "/" + "/".join(written)


def _segment(segment: str, *, is_last: bool) -> str:
    if segment == "*" and is_last:
        return "*"
    literals = _PLACEHOLDER.split(segment)
    if any(character in literal for literal in literals for character in "{}*") or not segment:
        raise Unsupported(f"path segment {segment!r}")
    if "" in literals[1:-1]:
        raise Unsupported(f"adjacent placeholders in {segment!r}")
    return "{}".join(_literal(one) for one in literals)


def _literal(text: str) -> str:
    decoded = unquote_to_bytes(text)
    try:
        plain = decoded.decode()
    except UnicodeDecodeError as error:
        raise Unsupported(f"path segment {text!r} is not UTF-8") from error
    if plain in {".", ".."} or any(one in "/\\;\x7f" or one < " " for one in plain):
        raise Unsupported(f"path segment {text!r} can never be called")
    return encode(plain)


def _scopes(scopes: frozenset[str]) -> str:
    for scope in scopes:
        if not _SCOPE.fullmatch(scope):
            raise Unsupported(f"scope {scope!r}")
    return ",".join(encode(scope) for scope in sorted(scopes))


def chunks(value: str) -> list[str]:
    """Cut a resources value at resource boundaries into pieces a run-time command can carry."""
    pieces: list[str] = []
    for resource in value.split("|"):
        if len(resource) > CHUNK:
            raise Unsupported("a resource with too many scopes")
        if pieces and len(pieces[-1]) + 1 + len(resource) <= CHUNK:
            pieces[-1] += "|" + resource
        else:
            pieces.append(resource)
    return pieces


@dataclass(frozen=True, slots=True)
class Address:
    """A backend address, taken apart."""

    scheme: str
    host: str
    port: int
    base: str
    """Its path, without a slash at the end."""

    @property
    def authority(self) -> str:
        """What a call's Host is."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _DEFAULT_PORT[self.scheme] else f"{name}:{self.port}"

    @property
    def is_literal(self) -> bool:
        """Whether the host is an IP address."""
        return _ip(self.host) is not None

    def resolved(self, resolve: Resolve) -> list[str]:
        """IP addresses, none when the name is unknown now."""
        literal = _ip(self.host)
        return [literal] if literal is not None else list(resolve(self.host, self.port))[:_ADDRESSES_AT_MOST]


def targets(urls: Iterable[str], resolve: Resolve, timeout_ms: int | None = None) -> str:
    """Write backend addresses; `-` when there is no URL, no address when no name resolves now.

    Raises:
        Unsupported: not an absolute http(s) URL of host, port and plain path.
    """
    said = tuple(urls)
    if not said:
        return NO_SUCH_BACKEND
    written = [target for url in said for target in _targets(take_apart(url), resolve)]
    return ",".join(([] if timeout_ms is None else [f"={timeout_ms}"]) + written)


def _targets(address: Address, resolve: Resolve) -> list[str]:
    rest = "+".join(encode(part) for part in (address.authority, address.host, address.base))
    found = address.resolved(resolve)
    return [f"{address.scheme}+{encode(ip)}+{address.port}+{rest}" for ip in found]


def _ip(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def take_apart(url: str) -> Address:
    """Take a backend address apart.

    Raises:
        Unsupported: not an absolute http(s) URL of host, port and plain path.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Unsupported(f"backend address: {error}") from error
    if parts.scheme not in _DEFAULT_PORT or not parts.hostname:
        raise Unsupported("a backend address is an absolute http or https URL")
    if parts.username is not None or parts.query or parts.fragment or not parts.hostname.isascii():
        raise Unsupported("a backend address has no user, query or fragment, and an ASCII host")
    base = parts.path.rstrip("/")
    if not _BASE_PATH.fullmatch(base) or {".", ".."} & set(base.split("/")):
        raise Unsupported("the path of a backend address has only plain segments")
    return Address(parts.scheme, parts.hostname, port or _DEFAULT_PORT[parts.scheme], base)
