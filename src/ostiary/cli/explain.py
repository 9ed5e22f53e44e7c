"""`ostiary explain`: why a call or a token request was refused, check by check.

What gateway nodes and workers know reaches the control plane within two seconds, so a request that is not
known is asked for a few times.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostiary.cli.client import ManagementClient, Refused
from ostiary.cli.errors import OperatorError

if TYPE_CHECKING:
    from rich.text import Text

_TRIES = 8
_PAUSE_SECONDS = 0.5


def explain(
    request_id: Annotated[str, typer.Argument(help="The X-Request-Id of the answer.")],
    org: Annotated[
        str | None, typer.Option(help="The organization whose URL was called.", show_default="default")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The installation on this machine.")] = None,
) -> None:
    """Tell why a request was refused: each check in order, what it compared, and what to do."""
    from rich.console import Console

    if not request_id.replace("-", "").replace(".", "").replace("_", "").isalnum():
        raise OperatorError("a request identifier was expected: the X-Request-Id of the answer")
    with ManagementClient.from_environment(data_dir) as client:
        found = ask(client, f"{'' if org is None else f'/t/{org}'}/api/server/v1/explanations/{request_id}")
    console = Console(highlight=False, soft_wrap=True)
    for line in lines(found):
        console.print(line)


def ask(client: ManagementClient, path: str) -> Any:
    """Ask until what nodes and workers know has arrived."""
    for left in reversed(range(_TRIES)):
        try:
            return client.request("GET", path)
        except Refused as refused:
            if refused.status != 404 or not left:
                raise
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError("unreachable")


def lines(found: Any) -> "list[Text]":
    """Write an explanation for a person."""
    from rich.text import Text

    at = datetime.fromtimestamp(found["at"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    head = Text(f"{found['method']} {found['path']}", "bold")
    where = ", ".join(
        part
        for part in (
            at,
            f"from {found['client']}" if found.get("client") else "",
            f"organization {found['organization']}",
            f"node {found['node']}" if found.get("node") else "",
        )
        if part
    )
    steps = [_step(step) for step in found["steps"]]
    result = " ".join(
        str(part) for part in (found["status"], found.get("code"), found.get("refusal")) if part
    )
    end = [Text("→ ", "bold") + Text(result, "bold"), Text(f"  what to do: {found['advice']}")]
    return [head, Text(where, "dim"), *steps, *end]


def _step(step: Any) -> "Text":
    from rich.text import Text

    compared = f"  ({step['compared']})" if step.get("compared") else ""
    if step["outcome"] == "passed":
        return Text("  ✓ ", "green") + Text(step["check"]) + Text(compared, "dim")
    return (
        Text("  ✗ ", "red")
        + Text(step["check"], "bold")
        + Text(f": {step['reason']}", "red")
        + Text(compared)
    )
