"""The real app on real SQL, without listeners."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ostiary.app import Settings, build_app, load_settings, migrate
from ostiary.foundation.database import write_engine
from ostiary.foundation.identifiers import new_id
from ostiary.organizations import Organization, put


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an installation in a scratch directory, its database migrated."""
    loaded = load_settings(None, {"data_dir": tmp_path})
    migrate(loaded.database)
    engine = write_engine(loaded.database)
    with engine.begin() as connection:
        put(connection, Organization(new_id(), "default", "Default"))
        put(connection, Organization(new_id(), "acme", "Acme"))
    engine.dispose()
    return loaded


@pytest.fixture
def whole_app(settings: Settings) -> Iterator[TestClient]:
    """The control plane with the organizations `default` and `acme` and nobody in them."""
    with TestClient(build_app(settings), raise_server_exceptions=False) as client:
        yield client
