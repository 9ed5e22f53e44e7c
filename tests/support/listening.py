"""A socket to serve HTTP on."""

import socket


def a_listener() -> socket.socket:
    """Listen on a free port of loopback.

    Its protocol is named, because asyncio sends at once (TCP_NODELAY) only where it is: an answer whose
    head and body are written apart would wait 40 ms for the acknowledgement of the head.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener
