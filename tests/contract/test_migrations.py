"""The migrations make exactly the tables the code declares, on both databases."""

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from ostiary import migrations
from ostiary.app import migrate
from ostiary.foundation.database import DatabaseUnusable, metadata, write_engine
from ostiary.identity.repository.user_stores import chain


def test_a_migrated_database_has_the_declared_schema(database_url: str) -> None:
    migrate(database_url)

    engine = write_engine(database_url)
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_table_that_others_refer_to_can_be_changed(database_url: str) -> None:
    """What a first installation had is still there after every later migration."""
    engine = write_engine(database_url)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        node = "('n1', 'embedded', 'f1', 0, 7, 1)"
        columns = "(id, name, credential_fingerprint, rotation, acknowledged, enrolled_at)"
        connection.exec_driver_sql(f"INSERT INTO gateway_nodes {columns} VALUES {node}")
        connection.exec_driver_sql("INSERT INTO gateway_node_keys VALUES ('k1', 'n1', '{}', 'active', 1)")

    migrate(database_url)

    with engine.begin() as connection:
        joined = "gateway_nodes n JOIN gateway_node_keys k ON k.node_id = n.id"
        kept = f"SELECT n.name, n.acknowledged, k.kid FROM {joined}"
        assert connection.exec_driver_sql(kept).all() == [("embedded", 7, "k1")]
    engine.dispose()


def test_a_rest_store_keeps_its_settings_and_its_secret(database_url: str) -> None:
    engine = write_engine(database_url)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    settings = '{"url": "https://x", "basic_username": "us", "timeout_ms": 500, "concurrency": 3}'
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
        columns = "(id, organization_id, name, type, position, revision, settings, sealed_password)"
        row = f"('s1', 'o1', 'E', 'rest', 0, 1, '{settings}', 'sealed')"
        connection.exec_driver_sql(f"INSERT INTO user_stores {columns} VALUES {row}")

    migrate(database_url)

    with engine.begin() as connection:
        (store,) = chain(connection, "o1")
    assert store.settings == {"url": "https://x", "auth": {"basic": {"username": "us"}}}
    assert (store.options.timeout_ms, store.options.concurrency) == (500, 3)
    assert store.sealed == {"auth.basic.password": "sealed"}
    engine.dispose()


def test_who_logged_in_before_stores_were_asked_again_was_confirmed_then(database_url: str) -> None:
    """So nobody has to log in again because of an upgrade, and nobody's limit begins anew."""
    engine = write_engine(database_url)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0011")
        columns = "(id, organization_id, store_id, store, immutable_id, username, first_seen_at"
        rows = "('a', 'o', 's', 'E', '1', 'ann', 5, 7), ('b', 'o', 's', 'E', '2', 'bob', 5, NULL)"
        connection.exec_driver_sql(f"INSERT INTO subjects {columns}, password_checked_at) VALUES {rows}")

    migrate(database_url)

    with engine.begin() as connection:
        kept = "SELECT confirmed_at, known_as FROM subjects ORDER BY id"
        assert connection.exec_driver_sql(kept).all() == [(7, "ann"), (None, "bob")]
    engine.dispose()


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    migrate(database_url)

    migrate(database_url)


def test_a_newer_schema_is_refused_with_what_to_do(database_url: str) -> None:
    migrate(database_url)
    engine = write_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()

    with pytest.raises(DatabaseUnusable, match="newer ostiary"):
        migrate(database_url)


def test_a_damaged_database_is_refused_with_what_to_do(sqlite_url: str) -> None:
    with open(sqlite_url.removeprefix("sqlite:///"), "wb") as file:
        file.write(b"SQLite format 3\x00" + b"garbage" * 1000)

    with pytest.raises(DatabaseUnusable, match="move it away and restore"):
        migrate(sqlite_url)


def test_a_database_in_a_directory_anybody_may_read_is_read_by_nobody_else(tmp_path: Path) -> None:
    """It holds password hashes and sealed secrets."""
    tmp_path.chmod(0o755)

    migrate(f"sqlite:///{tmp_path}/ostiary.db")

    files = list(tmp_path.glob("ostiary.db*"))
    assert files
    assert {file.stat().st_mode & 0o077 for file in files} == {0}
