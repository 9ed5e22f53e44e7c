"""The data directory: one server at a time, private files, and nothing left of a killed run."""

import os
import re
from pathlib import Path

import pytest

from ostiary.cli.data_directory import DataDirectory, write_private
from ostiary.cli.errors import OperatorError


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    made = DataDirectory(tmp_path / "data")
    made.make()
    return made


def test_only_the_owner_can_look_inside(directory: DataDirectory):
    for path in (directory.path, directory.run, directory.tls, directory.node):
        assert path.stat().st_mode & 0o777 == 0o700


def test_a_second_server_is_told_which_process_holds_the_directory(directory: DataDirectory):
    with (
        directory.locked(),
        pytest.raises(OperatorError, match=rf"in use by another ostiary \(process {os.getpid()}\)"),
        DataDirectory(directory.path).locked(),
    ):
        pytest.fail("two servers held one directory")


def test_the_directory_is_free_again_afterwards(directory: DataDirectory):
    with directory.locked():
        pass

    with directory.locked():
        pass


def test_what_a_killed_run_left_is_noticed_and_swept(directory: DataDirectory):
    directory.announce_ready({"management": "https://localhost:9443"})
    directory.worker_socket(0).touch()
    assert directory.was_killed()

    directory.sweep()

    assert not directory.was_killed()
    assert directory.ready() is None


def test_the_credential_of_the_embedded_node_is_made_once(directory: DataDirectory):
    directory.ensure_node_credential()
    first = directory.node_credential.read_text()

    directory.ensure_node_credential()

    assert directory.node_credential.read_text() == first
    assert directory.node_credential.stat().st_mode & 0o777 == 0o600


def test_a_path_too_long_for_sockets_is_refused(tmp_path: Path):
    with pytest.raises(OperatorError, match="too long for unix sockets"):
        DataDirectory(tmp_path / ("x" * 120)).make()


def test_a_file_in_the_way_is_refused(tmp_path: Path):
    (tmp_path / "data").touch()

    with pytest.raises(OperatorError, match=re.escape(str(tmp_path / "data")) + r".*--data-dir"):
        DataDirectory(tmp_path / "data").make()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path):
    file = tmp_path / "file"
    write_private(file, "old")

    with pytest.raises(UnicodeEncodeError):
        write_private(file, "new \ud800")

    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
