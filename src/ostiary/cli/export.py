"""`ostiary export`: an organization as a file that, applied again, changes nothing.

Secrets stay on the server: the file refers to variables of the environment, which are listed, or keeps
what is set (`--keep-secrets`). Status 0: written; 1: refused; 2: not a command.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlencode

import typer

from ostiary.cli.client import ManagementClient, place_of
from ostiary.cli.errors import OperatorError

_URL: Final = "/api/declarative/v1/export"
_PATIENCE_SECONDS: Final = 120


def export(
    organization: Annotated[str, typer.Argument(help="The organization's name.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file, which only its owner may read.")
    ] = None,
    keep_secrets: Annotated[
        bool,
        typer.Option("--keep-secrets", help="Say {unchanged: true} of secrets: for this installation alone."),
    ] = False,
    without: Annotated[
        list[str] | None, typer.Option("--without", help="Leave a section out, such as users.")
    ] = None,
    org: Annotated[
        str | None, typer.Option(help="As an administrator of this organization, which is the one.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The installation on this machine.")] = None,
) -> None:
    """Write an organization as a file that, applied again, changes nothing."""
    from ostiary.declarative import export_from_wire, laid_out, refer_to_secrets

    where = place_of(org)
    query = urlencode([("organization", organization), *(("without", one) for one in without or ())])
    with ManagementClient.from_environment(data_dir) as client:
        answer = client.request("GET", f"{where}{_URL}?{query}", None, _PATIENCE_SECONDS)
    exported = export_from_wire(answer)
    document = exported.document
    names: list[str] = []
    if not keep_secrets:
        document, names = refer_to_secrets(document, exported.secrets)
    text = f"{_comment(organization, names, exported.left_out)}{laid_out(document)}"
    _write(output, text)
    for name in names if output else ():
        print(f"set before applying: {name}", file=sys.stderr)
    for line in exported.left_out if output else ():
        print(f"not in the file: {_one_line(line)}", file=sys.stderr)


def _comment(organization: str, names: Sequence[str], left_out: Sequence[str]) -> str:
    lines = [f"Written by `ostiary export {organization}`."]
    if names:
        lines += ["Set before applying:", *(f"  {name}" for name in names)]
    if left_out:
        lines += ["Not in this file:", *(f"  {_one_line(line)}" for line in left_out)]
    return "".join(f"# {line}\n" for line in lines)


def _one_line(text: str) -> str:
    """No name ends a comment."""
    return " ".join(text.split())


def _write(output: Path | None, text: str) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        number = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(number, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OperatorError(f"{output}: cannot be written: {error.strerror}") from error
