"""`ostiary locks`: who is locked out after too many wrong passwords, and letting them in again."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import typer

from ostiary.cli.client import ManagementClient, place_of
from ostiary.cli.options import DataDirectoryOption
from ostiary.cli.subject import WhoArgument, subject_of

command = typer.Typer(help="People who are locked out.", no_args_is_help=True)
_AT_ONCE: Final = 1000
_HEAD: Final = ("user", "sub", "failures", "since", "until", "client")
OrganizationOption = Annotated[
    str | None, typer.Option("--org", help="Their organization.", show_default="default")
]


@command.command("list")
def list_locks(org: OrganizationOption = None, data_dir: DataDirectoryOption = None) -> None:
    """Show who is locked out, where and until when, those for longest first."""
    with ManagementClient.from_environment(data_dir) as client:
        found = client.request("GET", f"{place_of(org)}/api/identity/v1/locks?limit={_AT_ONCE}")
    rows = [_row(lock) for lock in found["locks"]]
    for line in _table([_HEAD, *rows]) if rows else ["nobody is locked out"]:
        typer.echo(line)
    if found["total"] > len(rows):
        typer.echo(f"and {found['total'] - len(rows)} more")
    if found["others"]:
        typer.echo(f"and {found['others']} names that nobody is known by")


@command.command()
def lift(who: WhoArgument, org: OrganizationOption = None, data_dir: DataDirectoryOption = None) -> None:
    """End every lock of a person: the next login is tried at once."""
    with ManagementClient.from_environment(data_dir) as client:
        client.request("DELETE", f"{place_of(org)}/api/identity/v1/locks/{subject_of(client, org, who)}")
    typer.echo(f"{who} is locked out no more")


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip()


def _row(lock: dict[str, Any]) -> tuple[str, ...]:
    times = (lock[name][:19] for name in ("since", "until"))
    return lock["user"], lock["sub"], str(lock["failures"]), *times, lock["client"] or "every one"
