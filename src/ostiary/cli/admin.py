"""`ostiary admin`: the way back in when nobody knows the administrator's password any more.

It works on the database itself, so it takes the rights to read the data directory and no running server.
"""

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING

import typer
from pydantic import SecretStr

from ostiary.cli.data_directory import DataDirectory
from ostiary.cli.errors import OperatorError
from ostiary.cli.options import ConfigOption, DataDirectoryOption
from ostiary.foundation.telemetry import configure_logging

if TYPE_CHECKING:
    from ostiary.app import Settings

command = typer.Typer(help="The administrator of this installation.", no_args_is_help=True)


@command.callback()
def _admin() -> None:
    """The administrator of this installation."""


@command.command()
def reset_password(
    data_dir: DataDirectoryOption = None,
    config: ConfigOption = None,
) -> None:
    """Give `admin` a new random password (or OSTIARY_ADMIN_PASSWORD) and its role back."""
    from ostiary.cli.bootstrap import tell_password
    from ostiary.cli.serve import read_settings

    settings = read_settings(config, {"data_dir": data_dir})
    configure_logging(settings.log_format, logging.WARNING)
    directory = DataDirectory(settings.data_dir)
    if not directory.secret_key.exists():
        raise OperatorError(f"{directory.path} is no installation: say which one with --data-dir")
    given = os.environ.get("OSTIARY_ADMIN_PASSWORD")
    chosen = asyncio.run(_reset(settings, SecretStr(given) if given else None))
    if given is None:
        tell_password(chosen, directory)
    where = "" if given is not None or sys.stderr.isatty() else f": {directory.admin_password}"
    typer.echo(f"the password of admin is changed{where}")


async def _reset(settings: "Settings", password: SecretStr | None) -> SecretStr:
    from ostiary.foundation.clock import utc_now
    from ostiary.foundation.database import Database
    from ostiary.identity import InvalidUser, NoDefaultOrganization, reset_admin_password

    database = Database.open(settings.database)
    try:
        return await reset_admin_password(database, utc_now, password)
    except InvalidUser as error:
        raise OperatorError(f"OSTIARY_ADMIN_PASSWORD cannot be used: {error}") from error
    except NoDefaultOrganization as error:
        raise OperatorError(
            "this installation was never started: `ostiary serve` makes the administrator"
        ) from error
    finally:
        await database.close()
