"""Sockets that only this user can connect to."""

from pathlib import Path

from ostiary.foundation.unix_server import private_socket


def test_a_socket_is_private_and_replaces_a_dead_ones(tmp_path: Path):
    path = tmp_path / "worker-0.sock"
    private_socket(path, 1).close()

    with private_socket(path, 1):
        assert path.stat().st_mode & 0o777 == 0o600
