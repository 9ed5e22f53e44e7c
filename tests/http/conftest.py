"""The real app on real SQL, without listeners."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.support.conformance import conforming

from ostiary.app import Settings, build_app, load_settings, migrate
from ostiary.foundation.database import write_engine
from ostiary.foundation.identifiers import new_id
from ostiary.organizations import Organization, put


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the organizations `default` and `acme`, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "ostiary.db"
    migrate(f"sqlite:///{path}")
    engine = write_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        put(connection, Organization(new_id(), "default", "Default"))
        put(connection, Organization(new_id(), "acme", "Acme"))
    engine.dispose()
    return path


@pytest.fixture
def settings(tmp_path: Path, migrated: Path) -> Settings:
    """Settings of an installation in a scratch directory, its database migrated."""
    shutil.copy(migrated, tmp_path / "ostiary.db")
    return load_settings(None, {"data_dir": tmp_path, "access": {"basic_authentication": True}})


@pytest.fixture
def whole_app(settings: Settings) -> Iterator[TestClient]:
    """The control plane with the organizations `default` and `acme` and nobody in them."""
    with conforming(build_app(settings)) as client:
        yield client
