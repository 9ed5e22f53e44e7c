"""`ostiary keys`: the keys that sign access tokens, and the gateway nodes' own.

It works on the installation's database; workers and gateway nodes take the news up within a second.
"""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from ostiary.cli.data_directory import DataDirectory
from ostiary.cli.errors import OperatorError
from ostiary.cli.options import ConfigOption, DataDirectoryOption
from ostiary.foundation.clock import utc_now

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ostiary.app import Settings
    from ostiary.oauth import Keys

command = typer.Typer(help="Signing keys.", no_args_is_help=True)


@command.callback()
def _keys() -> None:
    """Signing keys."""


@command.command()
def rotate(
    org: Annotated[
        str | None, typer.Option(help="Only this organization's keys.", show_default="all")
    ] = None,
    now: Annotated[
        bool, typer.Option("--now", help="For compromise: withdraw the old keys and every token they signed.")
    ] = False,
    data_dir: DataDirectoryOption = None,
    config: ConfigOption = None,
) -> None:
    """Announce new keys; each signs when everybody who caches the published ones must have seen it."""
    from ostiary.cli.bootstrap import open_box
    from ostiary.cli.serve import read_settings
    from ostiary.gateway import every_node_knows_key
    from ostiary.oauth import Keys

    settings = read_settings(config, {"data_dir": data_dir})
    directory = DataDirectory(settings.data_dir)
    if not directory.secret_key.exists():
        raise OperatorError(f"{directory.path} is no installation: say which one with --data-dir")
    keys = Keys(open_box(directory), settings.tokens, lambda c, kid: every_node_knows_key(c, kid, utc_now()))
    for line in asyncio.run(_rotate(settings, keys, org, immediately=now)):
        typer.echo(line)


async def _rotate(settings: "Settings", keys: "Keys", org: str | None, *, immediately: bool) -> list[str]:
    from ostiary.foundation.database import Database
    from ostiary.gateway import rotate_node_keys
    from ostiary.organizations import all_organizations

    def unit(connection: "Connection") -> list[str]:
        chosen = [o for o in all_organizations(connection) if org in (None, o.name)]
        if not chosen:
            raise OperatorError(f"there is no organization {org}")
        lines = []
        for organization in chosen:
            key = keys.rotate(connection, organization.id, utc_now(), immediately=immediately)
            lines.append(f"{organization.name}: key {key.kid} is {key.state.value}")
        if org is None:
            nodes = rotate_node_keys(connection)
            lines.append(f"gateway nodes asked for a new key: {nodes}")
        return lines

    database = Database.open(settings.database)
    try:
        return await database.write(unit)
    finally:
        await database.close()
