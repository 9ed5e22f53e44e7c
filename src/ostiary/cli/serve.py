"""`ostiary serve`: the product in one process tree.

Everything that can be wrong is looked for before anything is started, cheapest first. Then the stages:
workers, the gateway agent (it talks to the workers' sockets), HAProxy; none needs one that starts later.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostiary.cli.data_directory import DataDirectory
from ostiary.cli.errors import OperatorError
from ostiary.cli.ports import require_free
from ostiary.cli.supervisor import Supervisor
from ostiary.foundation.settings import InvalidSettings
from ostiary.foundation.telemetry import LogFormat, configure_logging, get_logger

if TYPE_CHECKING:
    from ostiary.app import Settings

AFTER_A_KILL = 2.0
"""Seconds the kernel and the children of a killed run get to let go of the ports."""
CERTIFICATE_CHECK_SECONDS = 6 * 3600

log = get_logger(__name__)


def serve(
    data_dir: Annotated[
        Path | None, typer.Option(help="Where everything is kept.", show_default="ostiary-data")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings in TOML; OSTIARY_… variables win.")] = None,
    management_port: Annotated[int | None, typer.Option(show_default="9443")] = None,
    gateway_port: Annotated[int | None, typer.Option(show_default="8243")] = None,
    http_port: Annotated[
        int | None, typer.Option(help="A cleartext copy of the gateway on loopback.", show_default="0: off")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes of the control plane.", show_default="2")
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="text or json", show_default="text")] = None,
) -> None:
    """Serve the authorization server, the management APIs and the gateway."""
    given = {
        "data_dir": data_dir,
        "management_port": management_port,
        "gateway_port": gateway_port,
        "http_port": http_port,
        "workers": workers,
        "log_format": log_format,
    }
    settings = read_settings(config, given)
    configure_logging(settings.log_format)
    run(settings)


def read_settings(config: Path | None, given: Mapping[str, Any] | None = None) -> "Settings":
    """The settings of this installation; what the command line says wins.

    Raises:
        OperatorError: one line for each setting that is unknown or wrong.
    """
    from ostiary.app import load_settings

    try:
        return load_settings(config, given)
    except InvalidSettings as error:
        raise OperatorError(str(error)) from error


def run(settings: "Settings") -> None:
    """Serve until told to stop.

    Raises:
        OperatorError: it cannot start; nothing is left running.
    """
    from ostiary.cli.bootstrap import bootstrap
    from ostiary.cli.programs import Tree

    tree = Tree(settings, DataDirectory(settings.data_dir))
    directory = tree.directory
    directory.make()
    with directory.locked():
        patience = AFTER_A_KILL if directory.was_killed() else 0.0
        directory.sweep()
        for port, option, loopback in _ports(settings):
            require_free(port, option, "127.0.0.1" if loopback else settings.address, patience)
        bootstrap(settings, directory)
        tree.prepare()
        try:
            asyncio.run(_serve(tree))
        finally:
            directory.sweep()


def _ports(settings: "Settings") -> list[tuple[int, str, bool]]:
    ports = [
        (settings.management_port, "--management-port", False),
        (settings.gateway_port, "--gateway-port", False),
        (settings.http_port, "--http-port", True),
    ]
    used = [port for port in ports if port[0]]
    if len({port for port, _, _ in used}) < len(used):
        raise OperatorError("--management-port, --gateway-port and --http-port must be different ports")
    return used
