"""`ostiary apply`: make organizations what their files say.

Files are checked here, before anything is sent, and their references are resolved on this machine.
Status 0: applied, or nothing to change; 1: refused, with every reason; 2: not a command.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostiary.cli.client import ManagementClient, Refused, place_of
from ostiary.cli.errors import OperatorError

if TYPE_CHECKING:
    from rich.text import Text

    from ostiary.declarative import Complaint, Document, OrganizationFile

    Checked = list[tuple[Document, OrganizationFile]]

_URL = "/api/declarative/v1/apply"
_PATIENCE_SECONDS = 600
"""Every new password is hashed first, which takes its time on purpose."""
_SECRETS_SHOWN = 5


def apply(
    files: Annotated[
        list[Path],
        typer.Option("--file", "-f", help="An organization file; - is standard input."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")] = False,
    set_secrets: Annotated[
        bool, typer.Option("--set-secrets", help="Set the secrets of things that exist already, too.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Remove what a section of a file does not list; never users."),
    ] = False,
    org: Annotated[
        str | None,
        typer.Option(help="As an administrator of this organization, with its own files alone."),
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The installation on this machine.")] = None,
) -> None:
    """Make organizations what their files say; a second time there is nothing to change."""
    from ostiary.cli.plan_view import render_complaints, render_plans
    from ostiary.declarative import plans_from_wire, to_wire

    for path in files:
        if str(path) != "-" and not path.is_file():
            raise typer.BadParameter(f"there is no file {path}", param_hint="--file")
    checked, complaints = _read(files)
    if complaints:
        _print(render_complaints(complaints), to_errors=True)
        raise typer.Exit(1)
    _warn_of_plain_secrets(checked)
    body = {
        "documents": [to_wire(file) for _, file in checked],
        "dry_run": dry_run,
        "set_secrets": set_secrets,
        "prune": prune,
    }
    try:
        with ManagementClient.from_environment(data_dir) as client:
            where = place_of(org)
            answer = client.request("POST", where + _URL, body, _PATIENCE_SECONDS)
    except Refused as refused:
        found = _placed(checked, refused)
        if not found:
            raise
        _print(render_complaints(found), to_errors=True)
        raise typer.Exit(1) from None
    _print(render_plans(plans_from_wire(answer["organizations"]), dry_run=dry_run))


def _read(files: list[Path]) -> "tuple[Checked, list[Complaint]]":
    """Every document of every file, or everything that is wrong with them."""
    from ostiary import declarative

    checked: Checked = []
    complaints: list[Complaint] = []
    for path in files:
        resolver = declarative.Resolver(os.environ, path.parent if str(path) != "-" else Path.cwd())
        try:
            documents = declarative.read_documents(_text(path), str(path))
        except declarative.Refused as refused:
            complaints += refused.complaints
            continue
        if not documents:
            complaints.append(declarative.Complaint((), "nothing", "an organization", source=str(path)))
        for document in documents:
            try:
                checked.append((document, declarative.read_file(document, resolver)))
            except declarative.Refused as refused:
                complaints += refused.complaints
    return checked, complaints


def _text(path: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise OperatorError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OperatorError(f"{path}: not UTF-8 text (byte {error.start + 1})") from error


def _placed(checked: "Checked", refused: Refused) -> "list[Complaint]":
    """The server's complaints at their lines in the files."""
    from ostiary.declarative import complaints_from_wire, placed

    found: list[Complaint] = []
    for complaint in complaints_from_wire(refused.problem.get("complaints", ())):
        match complaint.path:
            case ("documents", int(position), *path) if position < len(checked):
                found += placed(checked[position][0], [complaint.relative(tuple(path))])
            case _:
                found.append(complaint)
    return found


def _warn_of_plain_secrets(checked: "Checked") -> None:
    from rich.text import Text

    from ostiary.declarative import plain_secrets

    places = [place for document, file in checked for place in plain_secrets(document, file)]
    shown = [Text(f"{place} is written in the file itself") for place in places[:_SECRETS_SHOWN]]
    if len(places) > _SECRETS_SHOWN:
        shown.append(Text(f"and {len(places) - _SECRETS_SHOWN} more secrets"))
    if shown:
        advice = Text("{env: NAME} or {file: PATH} keeps secrets out of files", "dim")
        warning = Text("warning: ", "yellow")
        _print([*(warning + line for line in shown), advice], to_errors=True)


def _print(lines: "list[Text]", *, to_errors: bool = False) -> None:
    from rich.console import Console

    console = Console(stderr=to_errors, highlight=False, soft_wrap=True)
    for line in lines:
        console.print(line)
