"""`ostiary version`: which versions serve."""

import platform
from importlib import metadata

import typer


def version() -> None:
    """Print the versions of Ostiary and of what it stands on."""
    typer.echo(f"ostiary {metadata.version('ostiary')}")
    typer.echo(f"python  {platform.python_version()}")
