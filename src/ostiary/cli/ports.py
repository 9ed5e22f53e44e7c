"""Is a port free? Asked before HAProxy starts.

HAProxy binds with SO_REUSEPORT: two of them would share a port and each get half of the connections.
"""

import errno
import socket
import time
from contextlib import ExitStack

from ostiary.cli.errors import OperatorError

_ANY_ADDRESS = "0.0.0.0"  # noqa: S104 # probed, not served


def require_free(port: int, option: str, address: str = _ANY_ADDRESS, patience_seconds: float = 0.0) -> None:
    """Make sure that nobody listens on `port` of `address`.

    `patience_seconds` is for a port whose last holder was killed a moment ago.

    Raises:
        OperatorError: the port is taken, or not allowed for this user; names `option`.
    """
    deadline = time.monotonic() + patience_seconds
    while (reason := _why_not(port, address)) is not None:
        if reason == errno.EACCES:
            raise OperatorError(
                f"port {port} needs more rights than this user has: choose one above 1023 with {option}"
            )
        if reason == errno.EADDRNOTAVAIL:
            raise OperatorError(f"this machine has no address {address}: correct the setting address")
        if time.monotonic() >= deadline:
            raise OperatorError(
                f"port {port} is taken by another program: stop it, or choose another with {option}"
            )
        time.sleep(0.05)


def free_ports(count: int, preferred: tuple[int, ...] = ()) -> list[int]:
    """`count` different ports nobody listens on, the preferred ones where they are free."""
    chosen = [port for port in preferred if _why_not(port, _ANY_ADDRESS) is None][:count]
    if len(chosen) < len(preferred):
        chosen = []
    with ExitStack() as held:
        for _ in range(count - len(chosen)):
            probe = held.enter_context(socket.socket(socket.AF_INET))
            probe.bind(("127.0.0.1", 0))
            chosen.append(probe.getsockname()[1])
    return chosen


def _why_not(port: int, address: str) -> int | None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT is not "taken"
            probe.bind((address, port))
            probe.listen(1)
    except OSError as error:
        return error.errno
    return None
