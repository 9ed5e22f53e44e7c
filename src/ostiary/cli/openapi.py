"""`ostiary openapi`: the OpenAPI document of the REST APIs."""

import json

import typer

from ostiary.cli.errors import OperatorError
from ostiary.cli.options import ConfigOption


def openapi(config: ConfigOption = None) -> None:
    """Write the OpenAPI 3.1 document of the REST APIs. No server needs to run."""
    from ostiary.app import load_settings
    from ostiary.app import openapi as document
    from ostiary.foundation.settings import InvalidSettings

    try:
        typer.echo(json.dumps(document(load_settings(config).access), indent=2))
    except InvalidSettings as error:
        raise OperatorError(str(error)) from error
