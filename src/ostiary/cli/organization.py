"""`ostiary organization`: which organizations there are, and removing one."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from ostiary.cli.client import ManagementClient
from ostiary.cli.errors import OperatorError
from ostiary.cli.options import DataDirectoryOption

command = typer.Typer(help="The organizations of the installation.", no_args_is_help=True)
_TENANTS = "/api/server/v1/tenants"
_AT_ONCE = 1000


@command.command("list")
def list_organizations(data_dir: DataDirectoryOption = None) -> None:
    """Show every organization by name."""
    with ManagementClient.from_environment(data_dir) as client:
        found, page = list[dict[str, Any]](), None
        while page is None or len(page) == _AT_ONCE:
            where = f"{_TENANTS}?limit={_AT_ONCE}&offset={len(found)}"
            page = client.request("GET", where)["tenants"]
            found += page
    width = max(len(one["domain"]) for one in found)
    for one in found:
        typer.echo(f"{one['domain']:<{width}}  {one['id']}  {one['displayName']}")


@command.command()
def remove(
    org: Annotated[str, typer.Argument(help="The name of the organization.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDirectoryOption = None,
) -> None:
    """Remove an organization with everything it has: users, keys, tokens, APIs, applications.

    It ends at once, and what it has is deleted after that. Nothing brings it back.
    """
    with ManagementClient.from_environment(data_dir) as client:
        found = client.request("GET", f"{_TENANTS}/domain/{quote(org, safe='')}")
        if not yes and typer.prompt(f"This cannot be undone. Type {org} to remove it") != org:
            raise OperatorError(f"{org} stays as it is")
        client.request("DELETE", f"{_TENANTS}/{found['id']}")
    typer.echo(f"{org} is removed; its name is free when all it had is deleted (identifier {found['id']})")
