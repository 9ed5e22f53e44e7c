"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DataDirectoryOption = Annotated[Path | None, typer.Option("--data-dir", help="The installation.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", envvar="OSTIARY_CONFIG", help="Its settings in TOML.")
]
