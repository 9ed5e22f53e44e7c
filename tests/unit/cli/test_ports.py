"""Ports are probed without SO_REUSEPORT: a program that shares its port is noticed too."""

import socket

import pytest

from ostiary.cli.errors import OperatorError
from ostiary.cli.ports import free_ports, require_free


@pytest.fixture
def listener() -> socket.socket:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


def test_a_port_that_is_shared_willingly_is_taken(listener: socket.socket):
    port = listener.getsockname()[1]

    with pytest.raises(OperatorError, match=rf"port {port} is taken .*--gateway-port"):
        require_free(port, "--gateway-port")


def test_a_port_that_becomes_free_in_time_is_free(listener: socket.socket):
    port = listener.getsockname()[1]
    listener.close()

    require_free(port, "--gateway-port", patience_seconds=1.0)


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(OperatorError, match="this machine has no address"):
        require_free(8243, "--gateway-port", "192.0.2.1")


def test_free_ports_are_different_and_free():
    ports = free_ports(5)

    assert len(set(ports)) == 5
    for port in ports:
        require_free(port, "--any")


def test_preferred_ports_are_used_together_or_not_at_all(listener: socket.socket):
    taken = listener.getsockname()[1]
    (free,) = free_ports(1)

    assert free_ports(1, (free,)) == [free]
    assert free not in free_ports(2, (free, taken))
