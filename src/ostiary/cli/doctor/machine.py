"""What can be seen of an installation without its database: programs, files, ports, certificates, disk."""

from __future__ import annotations

import os
import platform
import shutil
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Final

from cryptography import x509

from ostiary.cli.data_directory import DataDirectory
from ostiary.cli.doctor.findings import Finding, fail, ok, warn
from ostiary.cli.errors import OperatorError
from ostiary.cli.ports import require_free
from ostiary.foundation.secrets import SecretBox, load_or_create_key
from ostiary.gateway import BadConfiguration, HAProxyUnusable, find_haproxy

_GIGABYTE: Final = 2**30
_SOON: Final = timedelta(days=30)
_OLDEST_OPENSSL: Final = (3, 0, 16)
"""Before it: fixes of 2025 are missing."""
_PRIVATE: Final = (
    "secret.key",
    "admin-password",
    "node/credential",
    "node/keys.json",
    "node/node.db",
    "ostiary.db",
)


def versions(haproxy: Path | None) -> Iterator[Finding]:
    """Which programs serve."""
    yield ok("ostiary", f"{metadata.version('ostiary')} on Python {platform.python_version()}")
    try:
        found = find_haproxy(haproxy)
    except HAProxyUnusable as error:
        yield fail("HAProxy", str(error), "install one, or name it with the setting haproxy")
        return
    says = f"{found.version} with OpenSSL {found.openssl} ({found.binary})"
    number = tuple(int(part) for part in found.openssl.split(".") if part.isdigit())
    if number < _OLDEST_OPENSSL:
        yield warn("HAProxy", says, "update the system's OpenSSL 3: HAProxy runs on it where it is newer")
    else:
        yield ok("HAProxy", says)


def data_directory(directory: DataDirectory) -> Iterator[Finding]:
    """Whether the files are there and nobody else's to read."""
    path = directory.path
    if not path.is_dir():
        yield fail(
            "data directory",
            f"{path} is not there",
            "say which one with --data-dir, or start `ostiary serve`",
        )
        return
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield fail(
            "data directory", f"{path} cannot be used by this user", "run this as the user who runs ostiary"
        )
        return
    found = [*_owners(path), *_modes(path)]
    yield from found or [ok("data directory", f"{path}, private")]
    if directory.admin_password.exists():
        do = f"change the password of admin, then delete {directory.admin_password}"
        yield warn("first password", "the file with the first password of admin is still there", do)


def _owners(path: Path) -> Iterator[Finding]:
    for one in (path, *(path / name for name in _PRIVATE)):
        if one.exists() and one.stat().st_uid != os.getuid():
            yield fail("data directory", f"{one} is another user's", f"chown {os.getuid()} {one}")


def _modes(path: Path) -> Iterator[Finding]:
    for one in (*(path / name for name in ("run", "tls", "node")), *(path / name for name in _PRIVATE)):
        if one.exists() and stat.S_IMODE(one.stat().st_mode) & 0o077:
            mode = "700" if one.is_dir() else "600"
            yield fail("data directory", f"others can read {one}", f"chmod {mode} {one}")


def secret_key(directory: DataDirectory) -> Iterator[Finding]:
    """Whether what is sealed in the database can be opened."""
    if not directory.secret_key.exists():
        yield fail(
            "secret.key",
            "it is missing",
            "restore it from your backup; a new installation gets one at its start",
        )
        return
    try:
        SecretBox(load_or_create_key(directory.secret_key))
    except (OSError, ValueError) as error:
        yield fail("secret.key", f"it cannot be used: {error}", "restore it from your backup")
        return
    yield ok("secret.key", "there; keep a copy of it apart from the database's")


def disk(directory: DataDirectory) -> Iterator[Finding]:
    """Whether there is room to write."""
    if not directory.path.is_dir():
        return
    usage = shutil.disk_usage(directory.path)
    yield disk_finding(usage.free, usage.total)


def disk_finding(free: int, total: int) -> Finding:
    """Judge the room on a disk."""
    says = f"{free / _GIGABYTE:.1f} GB free of {total / _GIGABYTE:.0f}"
    if free < _GIGABYTE // 10:
        return fail("disk", says, "make room: without it nothing can be written, and no token issued")
    if free < _GIGABYTE:
        return warn("disk", says, "make room soon")
    return ok("disk", says)


def certificates(directory: DataDirectory, now: datetime) -> Iterator[Finding]:
    """Whether the listeners' certificates are valid, and for how long."""
    for file in sorted(directory.tls.glob("*.pem")) if directory.tls.is_dir() else ():
        yield from _certificate(file, now)


def _certificate(file: Path, now: datetime) -> Iterator[Finding]:
    what, do = (
        f"certificate {file.name}",
        "start `ostiary serve`: it makes its own again; replace your own by hand",
    )
    try:
        text = file.read_bytes()
        if b"BEGIN CERTIFICATE" not in text:
            return  # a key
        certificate = x509.load_pem_x509_certificate(text)
    except (OSError, ValueError) as error:
        yield fail(what, f"it cannot be read ({type(error).__name__})", do)
        return
    left, until = certificate.not_valid_after_utc - now, certificate.not_valid_after_utc.date()
    if left <= timedelta():
        yield fail(what, f"it expired on {until}", do)
    elif certificate.not_valid_before_utc > now:
        yield fail(
            what, f"it begins on {certificate.not_valid_before_utc.date()}", "set this machine's clock"
        )
    elif left < _SOON and file.name != "server.pem":
        yield warn(what, f"it expires on {until}", do)
    else:
        yield ok(what, f"valid until {until}")


def configuration(directory: DataDirectory, haproxy: Path | None) -> Iterator[Finding]:
    """Whether HAProxy takes the configurations that were written for it."""
    names = [name for name in ("management", "gateway") if (directory.run / f"{name}.cfg").exists()]
    try:
        found = find_haproxy(haproxy)
    except HAProxyUnusable:
        return  # said already
    for name in names:
        try:
            found.check(directory.run, name)
        except (BadConfiguration, HAProxyUnusable) as error:
            yield fail(
                f"{name}.cfg",
                str(error),
                "start ostiary again: it writes the file anew; report it if it stays",
            )
        else:
            yield ok(f"{name}.cfg", "HAProxy takes it")


def free_port(port: int, option: str, address: str) -> Finding:
    """Whether the server could listen there."""
    try:
        require_free(port, option, address)
    except OperatorError as error:
        says, _, do = str(error).partition(": ")
        return fail(f"port {port}", says, do or "choose another one")
    return ok(f"port {port}", f"free for {option}")
