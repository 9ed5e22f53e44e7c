"""`ostiary audit`: verify the audit log and write it out.

It works on the installation's database, on its machine and as its user; everything is read from one snapshot.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostiary.cli.data_directory import DataDirectory
from ostiary.cli.errors import OperatorError
from ostiary.cli.options import ConfigOption, DataDirectoryOption

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ostiary.app import Settings
    from ostiary.foundation.audit import Anchor
    from ostiary.foundation.secrets import SecretBox

_WHICH = "The name of an organization, or the identifier of one that was removed."
command = typer.Typer(help="Who did what, and proof that nobody changed it.", no_args_is_help=True)


@command.callback()
def _audit() -> None:
    """Who did what, and proof that nobody changed it."""


@command.command()
def verify(
    org: Annotated[str | None, typer.Argument(help=_WHICH, show_default="all")] = None,
    anchors: Annotated[
        Path | None,
        typer.Option(
            "--anchors", help="A copy of the anchors kept elsewhere.", show_default="the data directory's"
        ),
    ] = None,
    data_dir: DataDirectoryOption = None,
    config: ConfigOption = None,
) -> None:
    """Check every hash, link, signature and anchor; status 1 when something was changed or is missing."""
    from ostiary.foundation.audit import ANCHOR_FILE, public_key, verify_chain
    from ostiary.foundation.clock import utc_now

    settings = _settings(data_dir, config)
    noted = _anchors(anchors or settings.data_dir / ANCHOR_FILE, is_named=anchors is not None)
    broken = []
    with _opened(settings) as (connection, box):
        chosen = _chosen(connection, org)
        if org is None:
            kept = utc_now() - settings.audit.kept  # of what is older, nothing needs to be left
            gone = {one.organization_id for one in noted if one.at > kept} - chosen.keys()
            broken += [f"the organization {one}, whose log is anchored, is not there" for one in sorted(gone)]
        for organization_id, name in chosen.items():
            verdict = verify_chain(connection, box, organization_id, noted)
            if verdict.problem is None:
                key = public_key(connection, box, organization_id) or "none yet"
                typer.echo(f"{name}: {verdict}; public key {key}")
            else:
                broken.append(f"the audit log of {name} was changed: {verdict.problem}")
    if broken:
        raise OperatorError("\n".join(broken))


@command.command()
def export(
    org: Annotated[str, typer.Argument(help=_WHICH)],
    sealed: Annotated[
        bool, typer.Option("--sealed", help="As it is hashed: what is people's own stays sealed.")
    ] = False,
    after: Annotated[int, typer.Option(min=0, help="Begin after this sequence number.")] = 0,
    data_dir: DataDirectoryOption = None,
    config: ConfigOption = None,
) -> None:
    """Write the audit log to standard output, a JSON object a line, oldest first."""
    import orjson

    from ostiary.foundation.audit import Wanted, read_records, sealed_records

    with _opened(_settings(data_dir, config)) as (connection, box):
        (organization_id,) = _chosen(connection, org)
        if sealed:
            for line in sealed_records(connection, organization_id, after):
                typer.echo(line)
            return
        for record in read_records(connection, box, organization_id, Wanted(after)):
            typer.echo(orjson.dumps(record).decode())


def _settings(data_dir: DataDirectoryOption, config: ConfigOption) -> "Settings":
    from ostiary.cli.serve import read_settings

    return read_settings(config, {"data_dir": data_dir})


def _anchors(file: Path, *, is_named: bool) -> "list[Anchor]":
    """The anchors of a file, read before the snapshot that they are compared with."""
    from ostiary.foundation.audit import ANCHOR_FILE, AnchorFile

    if is_named and not file.is_file():
        raise OperatorError(f"there is no file {file}")
    try:
        found = AnchorFile(file).read()
    except OSError as error:
        raise OperatorError(f"the anchors in {file} cannot be read: {error.strerror}") from error
    if is_named and not found:
        raise OperatorError(f"{file} proves nothing: there is no anchor in it; name a copy of {ANCHOR_FILE}")
    return found


@contextmanager
def _opened(settings: "Settings") -> "Iterator[tuple[Connection, SecretBox]]":
    from ostiary.cli.bootstrap import open_box
    from ostiary.foundation.database import reading_engine

    directory = DataDirectory(settings.data_dir)
    if not directory.secret_key.exists():
        raise OperatorError(f"{directory.path} is no installation: say which one with --data-dir")
    engine = reading_engine(settings.database)
    try:
        with engine.begin() as connection:
            yield connection, open_box(directory)
    finally:
        engine.dispose()


def _chosen(connection: "Connection", org: str | None) -> dict[str, str]:
    """The logs that are meant: the organization's identifier, and what to call it."""
    from ostiary.foundation.audit import organizations_logged
    from ostiary.organizations import all_organizations

    there = {one.id: one.name for one in all_organizations(connection)}
    gone = {one: one for one in organizations_logged(connection) if one not in there}
    chosen = {id: name for id, name in {**gone, **there}.items() if org in (None, name)}
    if not chosen:
        raise OperatorError(f"there is no organization {org}")
    return {id: name if id in there else f"{name} (removed)" for id, name in chosen.items()}
