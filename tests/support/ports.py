"""Free ports for servers of the tests, below those the kernel gives to clients: nobody takes one in between.

Test processes that run side by side choose from ranges of their own.
"""

import os
import random
import socket

_LOWEST, _HIGHEST = 12_000, 32_000
_PROCESSES = 8
"""As many ranges as test processes run at once at most."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return different ports that nobody listens on."""
    found: list[int] = []
    while len(found) < count:
        port = random.choice(_range())
        if port not in found and _is_free(port):
            found.append(port)
    return found


def _range() -> range:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return range(_LOWEST + int(worker) % _PROCESSES, _HIGHEST, _PROCESSES)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True
