"""`ostiary doctor`: is this installation well, and what is to be done where it is not?

Works while the server runs and while it does not, changes nothing and logs nobody in. Status 1 when something
fails. A check that breaks is a finding too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from ostiary.cli.data_directory import DataDirectory
from ostiary.cli.errors import OperatorError
from ostiary.cli.options import ConfigOption, DataDirectoryOption
from ostiary.cli.serve import read_settings
from ostiary.foundation.telemetry import configure_logging

if TYPE_CHECKING:
    from rich.text import Text

    from ostiary.app import Settings
    from ostiary.cli.doctor.findings import Finding

_MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
_ADDRESSES = {"0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}  # noqa: S104


def doctor(data_dir: DataDirectoryOption = None, config: ConfigOption = None) -> None:
    """Check the installation: programs, files, ports, database, certificates, user stores, gateway nodes."""
    from rich.console import Console

    settings = read_settings(config, {"data_dir": data_dir})
    configure_logging(settings.log_format, logging.CRITICAL)
    found = list(examine(settings))
    console = Console(highlight=False, soft_wrap=True)
    for line in table(found):
        console.print(line)
    if any(one.state == "fail" for one in found):
        raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Finding]:
    """Make every check that applies to what is in the data directory."""
    from ostiary.cli.doctor import machine, state, stores
    from ostiary.foundation.clock import utc_now
    from ostiary.foundation.secrets import SecretBox

    def box() -> SecretBox:
        return SecretBox(directory.secret_key.read_bytes())  # which is not made here where it is lost

    directory, known, now = DataDirectory(settings.data_dir), state.Known(), utc_now()
    is_up = state.is_held(directory)
    workers = sorted(directory.run.glob("metrics-*.sock")) if is_up else []
    is_gateway_alone = (directory.node / "identity.json").exists() and not directory.secret_key.exists()
    yield from _safely("versions", lambda: machine.versions(settings.haproxy))
    yield from _safely("data directory", lambda: machine.data_directory(directory))
    yield from _safely("disk", lambda: machine.disk(directory))
    yield from _safely("certificates", lambda: machine.certificates(directory, now))
    yield from _safely("configuration", lambda: machine.configuration(directory, settings.haproxy))
    if directory.path.is_dir() and not is_gateway_alone:
        yield from _safely("secret.key", lambda: machine.secret_key(directory))
        yield from _safely("database", lambda: state.database(settings, known, now))
        yield from _safely("clock", lambda: state.clock(known, now))
        yield from _safely(
            "user stores",
            lambda: asyncio.run(stores.user_stores(known.stores, workers, settings.outbound_policy, box())),
        )
        yield from _safely("migrations", lambda: stores.migrations(known.migrations))
        yield from _safely("gateway nodes", lambda: state.nodes(known, now, is_up))
    yield from _safely("listeners", lambda: _listeners(settings, is_up))
    if is_up and (directory.run / "gateway.cfg").exists():
        yield from _safely("agent", lambda: asyncio.run(state.agent(directory.run / "agent.sock")))


def _listeners(settings: Settings, is_up: bool) -> Iterator[Finding]:
    from ostiary.cli.doctor import machine
    from ostiary.cli.doctor.findings import ok, warn

    if not is_up:
        yield ok("server", "none runs on this directory")
        yield machine.free_port(settings.management_port, "--management-port", settings.address)
        yield machine.free_port(settings.gateway_port, "--gateway-port", settings.address)
        return
    ready = DataDirectory(settings.data_dir).ready()
    if ready is None:
        yield warn("server", "it runs and is not ready", "wait a moment; where it stays, its log says why")
        return
    yield ok("server", "ready")
    for name, target in (("management", "/oauth2/jwks"), ("gateway", "/-/ready")):
        if ready.get(name):
            yield _listener(name, str(ready[name]), target, settings.address)


def _listener(name: str, url: str, target: str, address: str) -> Finding:
    from ostiary.cli.doctor.findings import fail, ok

    port = urlsplit(url).port or 443
    answered = asyncio.run(_status(_ADDRESSES.get(address, address), port, target))
    if answered == 200:
        return ok(f"{name} listener", f"answers on port {port}")
    says = f"port {port}: {answered or 'no answer'}"
    return fail(f"{name} listener", says, f"see the log of the {name} HAProxy and of what is behind it")


async def _status(address: str, port: int, target: str) -> int | None:
    from ostiary.cli import probe

    return await probe.status_on_port(address, port, target, probe.unverified())


def _safely(name: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    from ostiary.cli.doctor.findings import fail

    try:
        yield from check()
    except OperatorError as error:
        yield fail(name, str(error), "see above")
    except Exception as error:
        yield fail(name, f"it could not be checked ({type(error).__name__})", "report this, please")


def table(found: Sequence[Finding]) -> list[Text]:
    """Write the findings for a person: all of them, then what to do."""
    from rich.text import Text

    width = max((len(one.what) for one in found), default=0)
    lines = []
    for one in found:
        mark, color = _MARKS[one.state]
        lines.append(Text(f"{mark} ", color) + Text(one.what.ljust(width + 2), "bold") + Text(one.says))
        if one.do:
            lines.append(Text(" " * (width + 4)) + Text(f"→ {one.do}", color))
    counts = {state: sum(one.state == state for one in found) for state in _MARKS}
    end = f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} wrong"
    return [*lines, Text(end, "bold red" if counts["fail"] else "bold")]
