"""`ostiary nodes`: the gateway nodes of this installation, for whoever administers the platform."""

from typing import Annotated

import typer

from ostiary.cli.client import ManagementClient
from ostiary.cli.options import DataDirectoryOption

command = typer.Typer(help="Gateway nodes on machines of their own.", no_args_is_help=True)
_PATH = "/api/server/v1/gateway-nodes"
NameArgument = Annotated[str, typer.Argument(help="What the node is called: a-z, 0-9, '.', '_', '-'.")]


@command.command()
def add(name: NameArgument, data_dir: DataDirectoryOption = None) -> None:
    """Print a one-time token with which a gateway of this name may enrol within the hour."""
    with ManagementClient.from_environment(data_dir) as client:
        made = client.request("POST", _PATH, {"name": name})
    typer.echo(made["token"])
    typer.echo(
        f"good once, until {made['token_expires_at']}; on the gateway's machine: "
        "ostiary gateway --enrol TOKEN --control-plane https://HOST:9444 --data-dir DIR "
        "(HOST runs `ostiary control-plane`; 9444 is its --node-port)",
        err=True,
    )


@command.command("list")
def list_nodes(data_dir: DataDirectoryOption = None) -> None:
    """Show every node: its state, the number of the plan it has, when it was last heard of."""
    with ManagementClient.from_environment(data_dir) as client:
        found = client.request("GET", _PATH)["list"]
    width = max((len(node["name"]) for node in found), default=4)
    typer.echo(f"{'name':<{width}}  {'state':<13}  {'plan':>8}  seen")
    for node in found:
        typer.echo(
            f"{node['name']:<{width}}  {node['state']:<13}  {node['plan']:>8}  {node['seen_at'] or '-'}"
        )


@command.command()
def remove(name: NameArgument, data_dir: DataDirectoryOption = None) -> None:
    """Refuse a node from now on, and no longer publish its keys; an unused token is void."""
    from urllib.parse import quote

    with ManagementClient.from_environment(data_dir) as client:
        client.request("DELETE", f"{_PATH}/{quote(name, safe='')}")
    typer.echo(f"{name} is removed: stop it, and delete its data directory")
