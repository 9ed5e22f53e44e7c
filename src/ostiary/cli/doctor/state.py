"""What is in the database, and whether what is written there answers: nodes, the agent, listeners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx2
from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from ostiary.app import schema_state
from ostiary.cli.data_directory import DataDirectory
from ostiary.cli.doctor.findings import Finding, fail, ok, warn
from ostiary.foundation.database import DatabaseUnusable, check_usable, write_engine
from ostiary.foundation.events import latest_number, outbox
from ostiary.foundation.metrics import read
from ostiary.gateway import NodeRecord, list_nodes
from ostiary.identity import Migration, UserStoreSettings, list_migrations, list_user_stores
from ostiary.organizations import all_organizations

if TYPE_CHECKING:
    from ostiary.app import Settings

_SILENT: Final = timedelta(seconds=60)
_AHEAD: Final = timedelta(seconds=60)


class Known:
    """What the database says that other checks need."""

    def __init__(self) -> None:
        self.stores: list[tuple[str, UserStoreSettings]] = []
        self.migrations: list[tuple[str, Migration]] = []
        self.nodes: list[NodeRecord] = []
        self.latest = 0
        self.newest: datetime | None = None


def database(settings: Settings, known: Known, now: datetime) -> Iterator[Finding]:
    """Whether it answers and has this version's schema; reads what other checks need."""
    url = make_url(settings.database)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        yield fail(
            "database", f"{url.database} is not there", "start `ostiary serve`, or restore your backup"
        )
        return
    try:
        check_usable(settings.database)
        current, newest = schema_state(settings.database)
    except DatabaseUnusable as error:
        says, _, do = str(error).partition(": ")
        yield fail("database", says, do or "look at the database server")
        return
    where = url.render_as_string(hide_password=True)
    if current != newest:
        do = "stop the server, back up, then `ostiary db upgrade`; a newer schema takes the newer ostiary"
        yield fail("database", f"its schema is {current or 'empty'}, this version's is {newest}", do)
        return
    try:
        _read(settings, known, now)
    except SQLAlchemyError as error:
        yield fail("database", f"it cannot be read ({type(error).__name__})", "restore your last backup")
        return
    yield ok("database", f"{where}, schema {current}")


def _read(settings: Settings, known: Known, now: datetime) -> None:
    engine = write_engine(settings.database)
    try:
        with engine.connect() as connection:
            for organization in all_organizations(connection):
                stores = list_user_stores(connection, organization.id)
                known.stores += [(organization.name, store) for store in stores]
                moving = list_migrations(connection, organization.id, now)
                known.migrations += [(organization.name, migration) for migration in moving]
            known.nodes = list_nodes(connection)
            known.latest = latest_number(connection)
            known.newest = connection.execute(select(func.max(outbox.c.recorded_at))).scalar()
    finally:
        engine.dispose()


def clock(known: Known, now: datetime) -> Iterator[Finding]:
    """Whether this machine's time can be right: tokens are refused by it."""
    if known.newest is not None and known.newest > now + _AHEAD:
        newest, here = (f"{one:%Y-%m-%d %H:%M:%S}" for one in (known.newest, now))
        says = f"the database has changes of {newest}, here it is {here} UTC"
        yield fail("clock", says, "synchronize the clocks of all machines (systemd-timesyncd, chrony)")
    else:
        yield ok("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def nodes(known: Known, now: datetime, is_up: bool) -> Iterator[Finding]:
    """Whether every gateway node has the plan."""
    for node in known.nodes:
        what = f"gateway node {node.name}"
        if node.seen_at is None:
            yield warn(what, "it has never asked for the plan", "start it, or remove it with `ostiary nodes`")
        elif is_up and now - node.seen_at > _SILENT:
            do = "see whether it runs and reaches the control plane; it decides by its last plan meanwhile"
            yield fail(what, f"not seen for {round((now - node.seen_at).total_seconds())} seconds", do)
        elif is_up and known.latest - node.acknowledged > 0:
            do = "wait a moment and look again; where it stays, look at the node's log"
            yield warn(what, f"{known.latest - node.acknowledged} changes behind", do)
        else:
            yield ok(what, f"has plan {node.acknowledged}")


async def agent(socket: Path) -> Sequence[Finding]:
    """Whether the agent on this machine decides, and by how old a plan."""
    try:
        async with httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=str(socket))) as http:
            page = await http.get("http://agent/metrics", timeout=5)
        values = {one.name: one.samples[0].value for one in read(page.text) if one.samples}
    except (httpx2.HTTPError, ValueError):
        return [fail("agent", "it does not answer", "look at its log; it is started again by itself")]
    return [agent_finding(values)]


def agent_finding(values: dict[str, float]) -> Finding:
    """Judge what the agent says of itself."""
    age = values.get("ostiary_agent_contact_seconds", 0.0)
    number, stored = (values.get(f"ostiary_agent_{name}", 0) for name in ("plan_number", "decisions"))
    says = f"plan {number:.0f}, {stored:.0f} decisions"
    if not values.get("ostiary_agent_ready"):
        return fail("agent", "it has no plan yet", "see whether the control plane answers it")
    if not values.get("ostiary_agent_haproxy_workers"):
        return fail("agent", "no HAProxy worker has its maps", "look at the log of the gateway's HAProxy")
    if age > _SILENT.total_seconds():
        return warn(
            "agent",
            f"{says}; no control plane for {age:.0f} s",
            "see why: it stops after gateway.max_offline",
        )
    return ok("agent", says)


def is_held(directory: DataDirectory) -> bool:
    """Whether a server runs on the directory."""
    import fcntl

    try:
        with directory.lock_file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False
