"""`ostiary subject`: everything held about one person, handed out or erased."""

import re
from typing import Annotated
from urllib.parse import quote

import typer

from ostiary.cli.client import ManagementClient, place_of
from ostiary.cli.options import DataDirectoryOption

command = typer.Typer(help="Everything held about one person.", no_args_is_help=True)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OrganizationArgument = Annotated[str, typer.Argument(help="The organization.")]
WhoArgument = Annotated[str, typer.Argument(help="The `sub` of the person's tokens, or [STORE/]name.")]


@command.command()
def export(org: OrganizationArgument, who: WhoArgument, data_dir: DataDirectoryOption = None) -> None:
    """Write everything that is held about a person to standard output, as JSON."""
    import orjson

    with ManagementClient.from_environment(data_dir) as client:
        held = client.request("GET", _path(client, org, who))
    typer.echo(orjson.dumps(held, option=orjson.OPT_INDENT_2).decode())


@command.command()
def erase(
    org: OrganizationArgument,
    who: WhoArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDirectoryOption = None,
) -> None:
    """Erase a person: ends every token, deletes what is held, destroys the person's key of the audit log."""
    with ManagementClient.from_environment(data_dir) as client:
        path = _path(client, org, who)
        if not yes:
            typer.confirm(f"Erase {who} of {org}? Nothing brings this back", abort=True)
        client.request("DELETE", path)
    typer.echo(f"{who} is erased; backups that are older still hold what was held")


def subject_of(client: ManagementClient, org: str | None, who: str) -> str:
    """The `sub` of whoever is named by it or as `[STORE/]name`; of the default organization where none is."""
    if _UUID.fullmatch(who):
        return who
    found = client.request("GET", f"{_subjects(org)}?name={quote(who, safe='')}")
    return str(found["subject"])


def _path(client: ManagementClient, org: str, who: str) -> str:
    return f"{_subjects(org)}/{subject_of(client, org, who)}"


def _subjects(org: str | None) -> str:
    return f"{place_of(org)}/api/identity/v1/subjects"
