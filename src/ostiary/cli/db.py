"""`ostiary db`: the database's schema."""

import typer

from ostiary.cli.options import ConfigOption, DataDirectoryOption

command = typer.Typer(help="The database.", no_args_is_help=True)


@command.callback()
def _db() -> None:
    """The database."""


@command.command()
def upgrade(
    data_dir: DataDirectoryOption = None,
    config: ConfigOption = None,
) -> None:
    """Bring the database to this version's schema; `ostiary serve` does the same when it starts."""
    from ostiary.cli.bootstrap import upgrade as bring_up_to_date
    from ostiary.cli.data_directory import DataDirectory
    from ostiary.cli.serve import read_settings

    settings = read_settings(config, {"data_dir": data_dir})
    DataDirectory(settings.data_dir).make()
    bring_up_to_date(settings)
    typer.echo("the database is up to date")
