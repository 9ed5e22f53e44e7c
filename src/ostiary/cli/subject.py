"""`ostiary subject`: everything held about one person, handed out or erased."""

import re
from typing import Annotated

import typer

from ostiary.cli.client import ManagementClient
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


def _path(client: ManagementClient, org: str, who: str) -> str:
    from urllib.parse import quote

    base = f"/t/{quote(org, safe='')}/api/identity/v1/subjects"
    if _UUID.fullmatch(who):
        return f"{base}/{who}"
    found = client.request("GET", f"{base}?name={quote(who, safe='')}")
    return f"{base}/{found['subject']}"
