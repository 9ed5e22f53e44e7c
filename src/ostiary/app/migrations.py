"""Bringing the database to the schema this version writes."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from ostiary.foundation.database import DatabaseUnusable, check_usable, write_engine

_SCRIPTS = Path(__file__).parent.parent / "migrations"


def migrate(url: str) -> None:
    """Apply the missing migrations, all in one transaction; nothing to do is quick.

    Raises:
        DatabaseUnusable: damaged, out of reach, or of a newer version than this one.
    """
    check_usable(url)
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    engine = write_engine(url)
    try:
        _let_tables_be_replaced(engine)
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7598543)")  # one migration at a time
            if MigrationContext.configure(connection).get_current_revision() == _newest(config):
                return
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            _check_references(connection)
    except CommandError as error:
        raise DatabaseUnusable(
            f"the database was written by a newer ostiary ({error}): run that version, or restore a backup"
        ) from error
    except DBAPIError as error:
        raise DatabaseUnusable(f"the database cannot be migrated: {error.orig}") from error
    finally:
        engine.dispose()


def schema_state(url: str) -> tuple[str | None, str | None]:
    """Return which schema the database has, and which this version writes. Changes nothing.

    Raises:
        DatabaseUnusable: out of reach.
    """
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    engine = write_engine(url)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision(), _newest(config)
    except DBAPIError as error:
        raise DatabaseUnusable(f"the database cannot be read: {error.orig}") from error
    finally:
        engine.dispose()


def _let_tables_be_replaced(engine: Engine) -> None:
    """SQLite changes a table by making it anew; with foreign keys on, dropping the old one would fail as soon
    as something refers to it. The setting cannot be changed inside a transaction."""
    if engine.dialect.name == "sqlite":
        pooled = engine.raw_connection()
        pooled.cursor().execute("PRAGMA foreign_keys=OFF")
        pooled.close()


def _check_references(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise DatabaseUnusable(
                f"the database cannot be migrated: {broken[0]} refers to what is not there"
            )


def _newest(config: Config) -> str | None:
    return ScriptDirectory.from_config(config).get_current_head()
