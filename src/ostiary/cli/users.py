"""`ostiary users`: import those of another system, see how many have moved away from an old store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ostiary.cli.client import ManagementClient
from ostiary.cli.errors import OperatorError
from ostiary.cli.options import DataDirectoryOption
from ostiary.cli.user_files import Line, read_users

if TYPE_CHECKING:
    from rich.console import Console

command = typer.Typer(help="Users: import them, see how many have moved.", no_args_is_help=True)
_AT_ONCE: Final = 100
_MOST_TEXT: Final = 500_000
"""Characters sent at once; the server takes 4 MB."""
_MOST_SHOWN: Final = 100


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

    console = Console(highlight=False, soft_wrap=True)
    told = _Told(dry_run=dry_run)
    where = f"{'' if org is None else f'/t/{org}'}/api/identity/v1/users/import"
    with ManagementClient.from_environment(data_dir) as client:
        try:
            _send_all(client, where, read_users(file, form), told, console)
        except OperatorError as error:
            if not told.counts.total():
                raise
            raise OperatorError(f"{error}\n{told.summary()}; begin it again: nobody is made twice") from error
    for text in told.lines():
        console.print(text, markup=False)
    if told.counts["refused"]:
        raise typer.Exit(1)


@command.command()
def migration(
    org: Annotated[str | None, typer.Option(help="The organization.", show_default="default")] = None,
    data_dir: DataDirectoryOption = None,
) -> None:
    """Show how far moving away from user stores is: who has moved, who would be left behind, days left."""
    where = f"{'' if org is None else f'/t/{org}'}/api/identity/v1/user-stores"
    with ManagementClient.from_environment(data_dir) as client:
        stores = [one for one in client.request("GET", where)["user_stores"] if one["migrate_until"]]
        found = [(one["name"], client.request("GET", f"{where}/{one['name']}/migration")) for one in stores]
    if not found:
        typer.echo("nobody is moved away from a store: none has migrate_until")
        return
    width = max(len("store"), *(len(name) for name, _ in found))
    typer.echo(f"{'store':<{width}}  {'moved':>8}  {'not moved':>9}  {'days left':>9}  until")
    for name, told in found:
        counts = f"{told['kept']:>8}  {told['not_moved']:>9}  {told['days_left']:>9}"
        typer.echo(f"{name:<{width}}  {counts}  {told['migrate_until']}")


@dataclass
class _Told:
    """What became of the users that were sent; the first of those that were refused, by line."""

    dry_run: bool
    counts: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)

    def add(self, line: Line, answer: Mapping[str, str]) -> None:
        """Note what became of one."""
        self.counts[answer["outcome"]] += 1
        if answer["outcome"] == "refused" and len(self.refused) < _MOST_SHOWN:
            text = f"line {line.number}: {answer['field']}: {answer['expected']}"
            self.refused.append(text.replace(": :", ":"))

    def summary(self) -> str:
        """How many were what."""
        created, exists, refused = (self.counts[name] for name in ("created", "exists", "refused"))
        would = "would be " if self.dry_run else ""
        return f"{created} {would}created, {exists} there already, {refused} refused"

    def lines(self) -> list[str]:
        """All there is to say."""
        more = self.counts["refused"] - len(self.refused)
        return [*self.refused, *([f"… and {more} more"] if more else []), self.summary()]


def _send_all(
    client: ManagementClient, where: str, lines: Iterable[Line], told: _Told, console: Console
) -> None:
    from rich.progress import Progress

    with Progress(console=console) as progress:
        task = progress.add_task("users", total=None)
        for some in batches(lines):
            for line, answer in _sent(client, where, some, dry_run=told.dry_run):
                told.add(line, answer)
            progress.update(task, advance=len(some))


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
