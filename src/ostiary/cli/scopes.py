"""`ostiary scopes`: which scope and permission a call of the internal REST APIs takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostiary.cli.errors import OperatorError
from ostiary.cli.options import ConfigOption

if TYPE_CHECKING:
    from ostiary.permissions import GuardedRoute

command = typer.Typer(help="Say which scope and permission a call takes.", no_args_is_help=True)


@command.command("for")
def for_(
    method: Annotated[str, typer.Argument(help="GET, POST, PUT, PATCH or DELETE.")],
    path: Annotated[str, typer.Argument(help="The path of the call, or its template.")],
    config: ConfigOption = None,
) -> None:
    """Say what one call takes. No server needs to run; `--config` says what the operator has tightened."""
    from ostiary.app import methods_at, operation_for

    routes = _operations(config)
    bare = path.partition("?")[0]
    found = operation_for(routes, method, bare)
    if found is None:
        there = methods_at(routes, bare)
        advice = f"there are {', '.join(there)}" if there else "`ostiary scopes list` shows what there is"
        raise OperatorError(f"there is no operation {method.upper()} {bare}: {advice}")
    access = found.route.access
    lines = [("operation", f"{method.upper()} {found.path}")]
    lines += [] if access.permissions else [("who", str(access))]
    lines += [("permission", permission) for permission in sorted(access.permissions)]
    lines += [("scope", scope) for scope in sorted(access.scopes)]
    for label, value in lines:
        typer.echo(f"{label.ljust(12)}{value}")
    if access.scopes:
        typer.echo(f"\nask for it with:  scope={' '.join(sorted(access.scopes))}")


@command.command("list")
def list_(config: ConfigOption = None) -> None:
    """List every guarded operation with its scope and permission, one a line, tab-separated."""
    for route in _operations(config):
        if route.access.permissions or route.access.scopes:
            needed = (" ".join(sorted(route.access.scopes)), " ".join(sorted(route.access.permissions)))
            typer.echo("\t".join([*sorted(route.methods or ()), route.path, *needed]))


def _operations(config: Path | None) -> list["GuardedRoute"]:
    from ostiary.app import load_settings, operations
    from ostiary.foundation.settings import InvalidSettings

    try:
        return operations(load_settings(config).access)
    except InvalidSettings as error:
        raise OperatorError(str(error)) from error
