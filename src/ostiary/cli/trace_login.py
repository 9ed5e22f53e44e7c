"""`ostiary trace login`: a login that issues nothing, with every step of it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from ostiary.cli.client import ManagementClient

if TYPE_CHECKING:
    from rich.text import Text

_VARIABLE = "OSTIARY_TRACE_PASSWORD"
_ENDS = {"accepted": 0, "refused": 1, "unavailable": 2}


def login(
    user: Annotated[str, typer.Argument(help="As it would be typed: NAME, STORE/NAME or NAME@ORGANIZATION.")],
    org: Annotated[
        str | None, typer.Option(help="The organization that is logged in at.", show_default="default")
    ] = None,
    store: Annotated[str | None, typer.Option(help="Ask this store alone.")] = None,
    through: Annotated[
        str | None, typer.Option("--client", help="Ask the stores that this client asks.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The installation on this machine.")] = None,
) -> None:
    """Log somebody in without issuing anything: who was asked, what they said, which roles came of it.

    The password is asked for, or taken from OSTIARY_TRACE_PASSWORD. A wrong one counts like any other.
    Ends with 0 where the login is accepted, 1 where it is refused, 2 where somebody could not be asked.
    """
    from rich.console import Console

    password = os.environ.get(_VARIABLE) or typer.prompt("Password", hide_input=True)
    name = user if store is None or "/" in user else f"{store}/{user}"
    with ManagementClient.from_environment(data_dir) as client:
        where = "" if org is None else f"/t/{org}"
        body = {"username": name, "password": password}
        if through is not None:
            shown = client.request("GET", f"{where}/api/oauth/v1/clients/{quote(through, safe='')}")
            body |= {"user_stores": shown["user_stores"]}
        found = client.request("POST", f"{where}/api/identity/v1/rehearsals", body)
    console = Console(highlight=False, soft_wrap=True)
    for line in lines(found):
        console.print(line)
    raise typer.Exit(_ENDS[found["decision"]])


def lines(found: Any) -> "list[Text]":
    """Write a rehearsal for a person."""
    from rich.text import Text

    told = [_step(step) for step in found["steps"]]
    user = found["user"]
    if user is None:
        end = Text(f"→ {found['decision']}", "bold red") + Text(f": {found['reason']}")
        return [*told, end]
    told += [Text("→ accepted", "bold green") + Text(f": {user['name']}", "bold")]
    for label in ("sub", "roles", "groups"):
        value = user[label] if isinstance(user[label], str) else ", ".join(user[label]) or "none"
        told.append(Text(f"  {label:<8}", "dim") + Text(value))
    told += [Text(f"  {name:<8}", "dim") + Text(value) for name, value in sorted(user["claims"].items())]
    return told


def _step(step: Any) -> "Text":
    from rich.text import Text

    facts = step["facts"]
    at = Text(f"{step['at_ms']:>9.1f} ms  ", "dim")
    if step["what"] == "asks":
        return at + Text(f"{facts['store']} is asked about {facts['name']}", "bold")
    if step["what"] == "answer":
        colour = {"accepted": "green", "unavailable": "yellow"}.get(facts["answer"], "red")
        reason = f" ({facts['reason']})" if "reason" in facts else ""
        return at + Text(f"{facts['store']} answers: ") + Text(facts["answer"], colour) + Text(reason)
    if step["what"] == "not asked":
        return at + Text(f"{facts['store']} is not asked: {facts['why']}", "dim")
    said = "  ".join(f"{name}={_short(value)}" for name, value in facts.items() if value not in (None, ""))
    return at + Text(f"  {step['what']}  ") + Text(said, "dim")


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_short, value)) or "none"
    return str(value)
