"""The command `ostiary`: one file per command noun, listed here.

Modules of commands import the server itself only when they run: `ostiary version` does not pay for it.
"""

import errno
import sys
from typing import Final, NoReturn

import typer

from ostiary.cli import (
    admin,
    apply,
    audit,
    db,
    demo,
    doctor,
    explain,
    export,
    keys,
    locks,
    nodes,
    openapi,
    organization,
    pins,
    scopes,
    serve,
    subject,
    trace,
    users,
    version,
)
from ostiary.cli.errors import OperatorError
from ostiary.foundation.process import end

app = typer.Typer(
    name="ostiary",
    help="A doorkeeper: an OAuth 2 authorization server and API gateway for users who live somewhere else.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("control-plane")(serve.control_plane)
app.command("gateway")(serve.gateway)
app.command("demo")(demo.demo)
app.command("apply")(apply.apply)
app.command("export")(export.export)
app.command("doctor")(doctor.doctor)
app.command("explain")(explain.explain)
app.add_typer(keys.command, name="keys")
app.add_typer(nodes.command, name="nodes")
app.add_typer(db.command, name="db")
app.add_typer(admin.command, name="admin")
app.add_typer(audit.command, name="audit")
app.add_typer(subject.command, name="subject")
app.add_typer(trace.command, name="trace")
app.add_typer(pins.command, name="pins")
app.add_typer(locks.command, name="locks")
app.add_typer(organization.command, name="organization")
app.add_typer(users.command, name="users")
app.add_typer(scopes.command, name="scopes")
app.command("openapi")(openapi.openapi)
app.command("version")(version.version)

_NO_ROOM: Final = {
    errno.ENOSPC: "make room, and start again",
    errno.EDQUOT: "make room, or raise the quota, and start again",
    errno.EFBIG: "make room, or raise the limit, and start again",
    errno.EROFS: "choose another --data-dir, or make this one writable",
}
"""What a machine lacks that no command can mend, and what to do."""


@app.callback()
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> NoReturn:
    """Run the command line; a problem a person can solve is one line on standard error and status 1."""
    try:
        end(_run())
    except OperatorError as error:
        for line in str(error).splitlines():
            print(f"ostiary: {line}", file=sys.stderr)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"ostiary: {where}{error.strerror}: {_NO_ROOM[error.errno]}", file=sys.stderr)
    sys.exit(1)


def _run() -> int:
    """Run the command; its status. What ends with words of its own ends as Python does."""
    try:
        app(prog_name="ostiary")
    except SystemExit as ending:
        if not isinstance(ending.code, int | None):
            raise
        return ending.code or 0
    return 0
