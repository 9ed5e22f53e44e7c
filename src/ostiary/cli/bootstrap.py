"""What a first start makes: schema, keys, the organization `default`, its administrator, the node here.

All of it is idempotent, so every start does it; what exists stays as it is.
"""

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ostiary.app import migrate
from ostiary.cli.data_directory import DataDirectory, write_private
from ostiary.cli.errors import OperatorError
from ostiary.foundation.certificates import CertificateAuthority
from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import Database, DatabaseUnusable
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.secrets import SecretBox, SecretUnreadable, load_or_create_key
from ostiary.foundation.telemetry import get_logger
from ostiary.gateway import ensure_authority, ensure_embedded_node
from ostiary.identity import ADMINISTRATOR, InvalidUser, bootstrap_admin
from ostiary.organizations import DEFAULT_ORGANIZATION, Organization, find, put

if TYPE_CHECKING:
    from ostiary.app import Settings

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What the person who starts it has to be told."""

    administrator_password: SecretStr | None
    """Set when this start made the administrator."""


def upgrade(settings: "Settings") -> None:
    """Bring the database to this version's schema.

    Raises:
        OperatorError: it cannot be used; says what to do.
    """
    try:
        migrate(settings.database)
    except DatabaseUnusable as error:
        raise OperatorError(str(error)) from error


def bootstrap(settings: "Settings", directory: DataDirectory, *, has_node: bool = True) -> FirstStart:
    """Make what is missing; `has_node` says whether a gateway node runs in this process tree.

    Raises:
        OperatorError: the database or the key cannot be used, or the given password is not acceptable.
    """
    upgrade(settings)
    box = open_box(directory)
    if has_node:
        directory.ensure_node_credential()
    return asyncio.run(_fill(settings, directory, box, has_node))


def open_box(directory: DataDirectory) -> SecretBox:
    """The installation's key.

    Raises:
        OperatorError: the file is not that key.
    """
    try:
        return SecretBox(load_or_create_key(directory.secret_key))
    except (OSError, ValueError) as error:
        raise OperatorError(
            f"{directory.secret_key} cannot be used ({error}): restore it from your backup; "
            "without it no secret in the database can be read"
        ) from error


async def _fill(settings: "Settings", directory: DataDirectory, box: SecretBox, has_node: bool) -> FirstStart:
    given = os.environ.get("OSTIARY_ADMIN_PASSWORD")
    database = Database.open(settings.database)
    try:
        await _ensure_default_organization(database)
        if has_node:
            credential = SecretStr(directory.node_credential.read_text().strip())
            await database.write(lambda c: ensure_embedded_node(c, credential, box, utc_now()))
        made = await bootstrap_admin(database, utc_now, SecretStr(given) if given else None)
    except InvalidUser as error:
        raise OperatorError(f"OSTIARY_ADMIN_PASSWORD cannot be used: {error}") from error
    finally:
        await database.close()
    return FirstStart(made if given is None else None)


def load_node_authority(settings: "Settings") -> CertificateAuthority:
    """The authority that certifies gateway nodes, the same for every control plane of the installation.

    Raises:
        OperatorError: the database or the key cannot be used.
    """
    upgrade(settings)
    box = open_box(DataDirectory(settings.data_dir))
    try:
        return asyncio.run(_node_authority(settings, box))
    except SecretUnreadable as error:
        raise OperatorError(
            "the authority of gateway nodes was sealed with another secret.key: every control plane of an "
            "installation needs the same one; copy it from the first"
        ) from error


async def _node_authority(settings: "Settings", box: SecretBox) -> CertificateAuthority:
    database = Database.open(settings.database)
    try:
        return await database.write(lambda connection: ensure_authority(connection, box, utc_now()))
    except IntegrityError:  # another control plane made it at the same moment
        return await database.write(lambda connection: ensure_authority(connection, box, utc_now()))
    finally:
        await database.close()


async def _ensure_default_organization(database: Database) -> None:
    def unit(connection: Connection) -> None:
        if find(connection, DEFAULT_ORGANIZATION) is None:
            put(connection, Organization(new_id(), DEFAULT_ORGANIZATION, "Default"))

    try:
        await database.write(unit)
    except IntegrityError:
        if await database.read(lambda c: find(c, DEFAULT_ORGANIZATION)) is None:
            raise


def tell_password(password: SecretStr, directory: DataDirectory) -> None:
    """Show it to the person at the terminal, and to nobody else: else it goes to a private file."""
    if sys.stderr.isatty():
        print(f"the password of {ADMINISTRATOR}: {password.get_secret_value()}", file=sys.stderr)
        return
    write_private(directory.admin_password, password.get_secret_value() + "\n")
    log.info("administrator_made", user=ADMINISTRATOR, read_it_in=str(directory.admin_password))
