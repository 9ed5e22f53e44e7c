"""One worker of the control plane: `python -m ostiary.cli.worker --index I`, started by the supervisor.

It listens on two unix sockets in `DIR/run`: on `worker-I.sock` for HAProxy and the agent, on `admin-I.sock`
for the person who administers this machine. Both are private files, so whoever can connect to the second
runs as the same user; that a request came in there is a fact of the accepted socket, not of the request.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from ostiary.app import build_app, load_settings
from ostiary.cli.data_directory import DataDirectory
from ostiary.foundation.telemetry import configure_logging
from ostiary.foundation.unix_server import Server, private_socket

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
"""Longer than HAProxy keeps an idle connection, so that HAProxy is the one who closes."""
DRAIN_SECONDS = 4


class LocalAdministrator:
    """Marks requests that were accepted on the administration socket (`state.local_administrator`)."""

    def __init__(self, app: ASGIApp, admin_socket: Path) -> None:
        self._app = app
        self._accepted_on = str(admin_socket)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            server = scope.get("server")
            is_local = server is not None and server[0] == self._accepted_on and server[1] is None
            scope.setdefault("state", {})["local_administrator"] = is_local
        await self._app(scope, receive, send)


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--index", type=int, required=True)
    index = parser.parse_args().index
    sys.stdin.read()  # started early: it begins when whoever prepares the rest lets go of its input
    settings = load_settings()
    configure_logging(settings.log_format)
    directory = DataDirectory(settings.data_dir)
    admin = directory.admin_socket(index)
    app = LocalAdministrator(build_app(settings), admin)
    config = uvicorn.Config(
        app,
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sockets = [private_socket(path, BACKLOG) for path in (directory.worker_socket(index), admin)]
        runner.run(Server(config).serve(sockets=sockets))


if __name__ == "__main__":
    main()
