"""`ostiary demo`: the main job, performed against real processes and printed as commands to repeat."""

import signal
import ssl
import sys
from textwrap import indent
from types import FrameType
from typing import Annotated, NoReturn

import httpx2
import typer
from rich.console import Console
from rich.text import Text

from ostiary.cli.demo.desk import Outcome, Step
from ostiary.cli.demo.scratch import Scratch
from ostiary.cli.demo.story import Story
from ostiary.cli.errors import OperatorError

_LABEL = 18
_VALUE = 38


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the story; status 0 if all of it holds.")
    ] = False,
) -> None:
    """Perform the main job with a real login service and a real backend, and print how to repeat it."""
    signal.signal(signal.SIGTERM, _leave)
    console = Console(highlight=False, soft_wrap=True)
    try:
        held = _perform(console, once)
    except KeyboardInterrupt:
        console.print("\nstopped; nothing is left behind", style="dim")
        return
    if not held:
        raise OperatorError("the story does not hold: see the steps marked ✗")


def _perform(console: Console, once: bool) -> bool:
    console.print(
        "Ostiary: an outside user's password becomes an API call with a signed identity\n", style="bold"
    )
    with Scratch(documented_ports=not once) as scratch:
        with console.status("starting…"):
            took = scratch.start_server()
        _introduce(console, scratch, took)
        trust = ssl.create_default_context(cafile=scratch.ready["ca"])
        with httpx2.Client(verify=trust, timeout=10.0) as http:
            outcomes = [_show(console, step) for step in Story(scratch, http).steps()]
        held = all(outcome.holds for outcome in outcomes)
        _conclude(console, held, len(outcomes))
        scratch.keep = not held
        if not held:
            _line(console, "the log is kept in", str(scratch.place.log), "")
        if not once:
            _keep_serving(console, scratch)
    return held


def _introduce(console: Console, scratch: Scratch, took: float) -> None:
    place, ready = scratch.place, scratch.ready
    _line(console, "login service", place.login_service, "its own process; knows testuser")
    _line(console, "backend", place.backend, "its own process; verifies who calls")
    _line(console, "management", ready["management"], f"ready in {took:.1f} s")
    _line(console, "gateway", ready["gateway"], "")
    _line(console, "everything is in", str(place.directory), "for curl --cacert: data/tls/ca.pem")


def _line(console: Console, label: str, value: str, remark: str) -> None:
    line = Text("  ").append(label.ljust(_LABEL), style="dim").append(value.ljust(_VALUE if remark else 0))
    console.print(line.append(f"   {remark}", style="dim") if remark else line)


def _show(console: Console, step: Step) -> Outcome:
    console.print()
    console.print(Text(step.number.ljust(5), style="bold cyan").append(step.title, style="bold"))
    for shown in step.shown:
        console.print(Text(indent(shown, "     ")))
    outcome = step.check()
    if outcome.holds:
        console.print(Text("   ✓ ", style="bold green").append(outcome.seen, style="green"))
    else:
        console.print(Text(f"   ✗ expected {outcome.expected}", style="bold red"))
        console.print(Text(f"     saw      {outcome.seen}", style="red"))
    return outcome


def _conclude(console: Console, held: bool, steps: int) -> None:
    console.print()
    if held:
        console.print(Text(f"   ✓ all {steps} steps hold", style="bold green"))
    else:
        console.print(Text("   ✗ not every step holds", style="bold red"))


def _keep_serving(console: Console, scratch: Scratch) -> None:
    place = scratch.place
    console.print("\nstill serving: paste any line above.", style="bold")
    _line(console, "log", str(place.log), "")
    _line(console, "organization", str(place.organization_file), "edit it and apply it again")
    console.print("  Ctrl-C stops everything and removes the scratch directory.", style="dim")
    signal.pause()


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)
