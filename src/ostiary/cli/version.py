"""`ostiary version`: which versions serve."""

import os
import platform
from importlib import metadata
from pathlib import Path

import typer


def version() -> None:
    """Print the versions of Ostiary and of what it stands on."""
    typer.echo(f"ostiary {metadata.version('ostiary')}")
    typer.echo(f"python  {platform.python_version()}")
    typer.echo(f"haproxy {_haproxy()}")


def _haproxy() -> str:
    from ostiary.gateway import HAProxyUnusable, find_haproxy

    given = os.environ.get("OSTIARY_HAPROXY")
    try:
        found = find_haproxy(Path(given) if given else None)
    except HAProxyUnusable as error:
        return str(error)
    return f"{found.version} with OpenSSL {found.openssl} ({found.binary})"
