"""`ostiary pins`: whom the names in roles are pinned to, and how a name is let go."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from ostiary.cli.client import ManagementClient
from ostiary.cli.errors import OperatorError
from ostiary.cli.options import DataDirectoryOption

command = typer.Typer(help="People whom the names in roles are pinned to.", no_args_is_help=True)
RoleArgument = Annotated[str, typer.Argument(help="The name of the role.")]
OrganizationOption = Annotated[
    str | None, typer.Option("--org", help="The organization of the role.", show_default="default")
]


@command.command("list")
def list_pins(
    role: RoleArgument, org: OrganizationOption = None, data_dir: DataDirectoryOption = None
) -> None:
    """Show the people a role lists and who have been seen: who bore the name at its first match."""
    with ManagementClient.from_environment(data_dir) as client:
        found = _pins(client, role, org)
    width = max((len(pin["user"]) for pin in found), default=4)
    typer.echo(f"{'name':<{width}}  {'sub':<36}  {'last login':<25}  identifier in the store")
    for pin in found:
        last = pin["last_login_at"] or "-"
        typer.echo(f"{pin['user']:<{width}}  {pin['sub']:<36}  {last[:25]:<25}  {pin['id_in_store'] or '-'}")


@command.command()
def release(
    role: RoleArgument,
    user: Annotated[str, typer.Argument(help="The name as `list` shows it: NAME or STORE/NAME.")],
    org: OrganizationOption = None,
    data_dir: DataDirectoryOption = None,
) -> None:
    """Let a name go, because it is somebody else's now: who had it loses the role at once.

    Whoever logs in with the name next has the role from then on.
    """
    with ManagementClient.from_environment(data_dir) as client:
        subs = [pin["sub"] for pin in _pins(client, role, org) if pin["user"] == user]
        if not subs:
            raise OperatorError(
                f"{user} is pinned to nobody in the role {role}: see `ostiary pins list {role}`"
            )
        for sub in subs:
            client.request("DELETE", f"{_path(role, org)}/{quote(sub, safe='')}")
    typer.echo(f"{user} is pinned to nobody in the role {role}; who logs in with the name next has it")


def _pins(client: ManagementClient, role: str, org: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.request("GET", _path(role, org))["pins"]
    return found


def _path(role: str, org: str | None) -> str:
    return f"{'' if org is None else f'/t/{org}'}/api/identity/v1/roles/{quote(role, safe='')}/pins"
