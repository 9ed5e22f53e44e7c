"""`ostiary serve`: the product in one process tree.

Everything that can be wrong is looked for before anything is started, cheapest first. Then the stages:
workers, the gateway agent (it talks to the workers' sockets), HAProxy; none needs one that starts later.
"""

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostiary.cli.data_directory import DataDirectory
from ostiary.cli.errors import OperatorError
from ostiary.cli.options import ConfigOption
from ostiary.cli.ports import require_free
from ostiary.cli.roles import Role
from ostiary.cli.supervisor import Supervisor
from ostiary.foundation.settings import InvalidSettings
from ostiary.foundation.telemetry import configure_logging, get_logger

if TYPE_CHECKING:
    from ostiary.app import Settings
    from ostiary.cli.programs import Tree

AFTER_A_KILL = 2.0
"""Seconds the kernel and the children of a killed run get to let go of the ports."""
CERTIFICATE_CHECK_SECONDS = 60

log = get_logger(__name__)


def serve(
    data_dir: Annotated[
        Path | None, typer.Option(help="Where everything is kept.", show_default="ostiary-data")
    ] = None,
    config: ConfigOption = None,
    management_port: Annotated[int | None, typer.Option(show_default="9443")] = None,
    gateway_port: Annotated[int | None, typer.Option(show_default="8243")] = None,
    http_port: Annotated[
        int | None, typer.Option(help="A cleartext copy of the gateway on loopback.", show_default="0: off")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes of the control plane.", show_default="1")
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


def control_plane(
    data_dir: Annotated[
        Path | None, typer.Option(help="Where everything is kept.", show_default="ostiary-data")
    ] = None,
    config: ConfigOption = None,
    management_port: Annotated[int | None, typer.Option(show_default="9443")] = None,
    node_port: Annotated[
        int | None, typer.Option(help="Where gateway nodes connect.", show_default="9444")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes of the control plane.", show_default="1")
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="text or json", show_default="text")] = None,
) -> None:
    """Serve the authorization server and the management APIs; gateways are on machines of their own."""
    given = {
        "data_dir": data_dir,
        "management_port": management_port,
        "node_port": node_port,
        "workers": workers,
        "log_format": log_format,
    }
    settings = read_settings(config, given)
    configure_logging(settings.log_format)
    run(settings, Role.CONTROL_PLANE)


def gateway(
    enrol: Annotated[
        str | None,
        typer.Option(
            envvar="OSTIARY_ENROL",
            help="The one-time token of `ostiary nodes add`; needed once.",
            metavar="TOKEN",
        ),
    ] = None,
    control_plane: Annotated[
        list[str] | None,
        typer.Option(help="https://HOST:9444, several times for several; remembered.", metavar="URL"),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="What this node keeps.", show_default="ostiary-data")
    ] = None,
    config: ConfigOption = None,
    gateway_port: Annotated[int | None, typer.Option(show_default="8243")] = None,
    http_port: Annotated[
        int | None, typer.Option(help="A cleartext copy of the gateway on loopback.", show_default="0: off")
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="text or json", show_default="text")] = None,
) -> None:
    """Serve a gateway for control planes on other machines; it needs neither database nor secret.key."""
    given = {
        "data_dir": data_dir,
        "gateway_port": gateway_port,
        "http_port": http_port,
        "log_format": log_format,
    }
    from ostiary.cli.membership import ensure_enrolled

    settings = read_settings(config, given)
    configure_logging(settings.log_format)
    run(settings, Role.GATEWAY, lambda directory: ensure_enrolled(directory, enrol, control_plane or ()))


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


def run(
    settings: "Settings",
    role: Role = Role.EVERYTHING,
    before: Callable[[DataDirectory], None] = lambda _: None,
) -> None:
    """Serve until told to stop; `before` runs once the data directory is ours.

    Raises:
        OperatorError: it cannot start; nothing is left running.
    """
    from ostiary.cli.programs import Tree

    _check_tracing()
    directory = DataDirectory(settings.data_dir)
    tree = Tree(settings, directory, role)
    directory.make()
    with directory.locked():
        patience = AFTER_A_KILL if directory.was_killed() else 0.0
        directory.sweep()
        for port, option, address in _ports(settings, role):
            require_free(port, option, address, patience)
        before(directory)
        try:
            asyncio.run(_serve(settings, tree))
        finally:
            directory.sweep()


def _check_tracing() -> None:
    from ostiary.app import TracingNotInstalled, check_tracing

    try:
        check_tracing()
    except TracingNotInstalled as error:
        raise OperatorError(str(error)) from error


async def _serve(settings: "Settings", tree: "Tree") -> None:
    supervisor = Supervisor(tree.stages())
    stop = _stop_on_signal(supervisor)
    starting = asyncio.create_task(_start(settings, tree, supervisor))
    stopped = asyncio.create_task(stop.wait())
    renewing = asyncio.create_task(_keep_certificates(tree, supervisor))
    try:
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            _announce(tree)
            await stopped
            log.info("stopping")
    finally:
        tree.directory.ready_file.unlink(missing_ok=True)
        for task in (renewing, stopped, starting):
            task.cancel()
        await asyncio.wait({starting})
        await supervisor.stop()


async def _start(settings: "Settings", tree: "Tree", supervisor: Supervisor) -> None:
    """Prepare everything while the programs load themselves, then let them begin."""
    await supervisor.warm()
    await asyncio.to_thread(_prepare, settings, tree)
    await supervisor.start()


def _prepare(settings: "Settings", tree: "Tree") -> None:
    from ostiary.cli.bootstrap import bootstrap, tell_password

    tree.prepare()
    if not tree.role.has_control_plane:
        return
    made = bootstrap(settings, tree.directory, has_node=tree.role.has_gateway)
    if made.administrator_password is not None:
        tell_password(made.administrator_password, tree.directory)


def _stop_on_signal(supervisor: Supervisor) -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second one does not wait for anything."""
    stop = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            supervisor.kill()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked)
    return stop


def _announce(tree: "Tree") -> None:
    ready = tree.urls()
    tree.directory.announce_ready(ready)
    log.info("ready", **{name: url for name, url in ready.items() if url is not None})


async def _keep_certificates(tree: "Tree", supervisor: Supervisor) -> None:
    """Replace our own certificates before they expire; HAProxy takes them up without dropping a request."""
    while True:
        await asyncio.sleep(CERTIFICATE_CHECK_SECONDS)
        try:
            renewed = await asyncio.to_thread(tree.renew_certificates)
        except (OSError, OperatorError) as error:
            log.error("certificate_not_renewed", reason=str(error))
            continue
        if renewed:
            log.info("certificate_renewed")
            for name in tree.listeners:
                supervisor.signal(name, signal.SIGUSR2)  # HAProxy: reload


def _ports(settings: "Settings", role: Role) -> list[tuple[int, str, str]]:
    ports = []
    if role.has_control_plane:
        ports.append((settings.management_port, "--management-port", settings.address))
    if role is Role.CONTROL_PLANE:
        ports.append((settings.node_port, "--node-port", settings.address))
    if role.has_gateway:
        ports.append((settings.gateway_port, "--gateway-port", settings.address))
        ports.append((settings.http_port, "--http-port", "127.0.0.1"))
    ports.append((settings.metrics_port, "metrics_port", "127.0.0.1"))
    used = [port for port in ports if port[0]]
    if len({port for port, _, _ in used}) < len(used):
        names = [option for _, option, _ in ports]
        raise OperatorError(f"{', '.join(names[:-1])} and {names[-1]} must be different ports")
    return used
