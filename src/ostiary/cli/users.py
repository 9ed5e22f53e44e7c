"""`ostiary users import`: users of another system, with the hashes of their passwords."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ostiary.cli.client import ManagementClient
from ostiary.cli.user_files import Line, read_users

command = typer.Typer(help="Users of PRIMARY.", no_args_is_help=True)
_AT_ONCE: Final = 100
_MOST_TEXT: Final = 500_000
"""Characters sent at once; the server takes 4 MB."""
_MOST_SHOWN: Final = 100


@command.callback()
def _users() -> None:
    """Users of PRIMARY."""


@command.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file of users.")],
    org: Annotated[
        str | None, typer.Option(help="The organization they are to be of.", show_default="default")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="csv, ldif, keycloak or scim.", show_default="by the name")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing, say what would happen.")
    ] = False,
    data_dir: Annotated[Path | None, typer.Option(help="The installation on this machine.")] = None,
) -> None:
    """Make users with the hashes that another system has of their passwords.

    Users that are there already stay as they are, so an import that was interrupted is just begun again.
    Lines that are refused are listed with what to do, and it ends with 1 then.
    """
    from rich.console import Console
    from rich.progress import Progress

    counts = {"created": 0, "exists": 0, "refused": 0}
    refused: list[str] = []
    console = Console(highlight=False, soft_wrap=True)
    with ManagementClient.from_environment(data_dir) as client, Progress(console=console) as progress:
        where = f"{'' if org is None else f'/t/{org}'}/api/identity/v1/users/import"
        task = progress.add_task("users", total=None)
        lines = read_users(file, form)
        for some in batches(lines):
            for line, told in _sent(client, where, some, dry_run=dry_run):
                counts[told["outcome"]] += 1
                if told["outcome"] == "refused" and len(refused) < _MOST_SHOWN:
                    refused.append(
                        f"line {line.number}: {told['field']}: {told['expected']}".replace(": :", ":")
                    )
            progress.update(task, advance=len(some))
    for text in refused:
        console.print(text, markup=False)
    if counts["refused"] > len(refused):
        console.print(f"… and {counts['refused'] - len(refused)} more")
    would = "would be " if dry_run else ""
    said = (
        f"{counts['created']} {would}created, {counts['exists']} there already, {counts['refused']} refused"
    )
    console.print(said)
    if counts["refused"]:
        raise typer.Exit(1)


def batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """The lines in order, as many at a time as one request may have."""
    some: list[Line] = []
    size = 0
    for line in lines:
        some.append(line)
        size += sum(map(len, (line.username, line.hash, *line.claims.keys(), *line.claims.values())))
        if len(some) == _AT_ONCE or size > _MOST_TEXT:
            yield some
            some, size = [], 0
    if some:
        yield some


def _sent(
    client: ManagementClient, where: str, lines: list[Line], *, dry_run: bool
) -> Iterator[tuple[Line, Any]]:
    """Each line and what became of it."""
    good = [line for line in lines if not line.problem]
    users = [
        {"username": one.username, "hash": one.hash, "claims": dict(one.claims), "disabled": one.disabled}
        for one in good
    ]
    answer = client.request("POST", where, {"users": users, "dry_run": dry_run}) if users else {"users": []}
    told = dict(zip((id(line) for line in good), answer["users"], strict=True))
    for line in lines:
        bad = {"outcome": "refused", "field": "", "expected": f"{line.problem} was expected"}
        yield line, told.get(id(line), bad)
