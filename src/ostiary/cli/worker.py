"""One worker of the control plane: `python -m ostiary.cli.worker --index I`, started by the supervisor.

It listens on unix sockets in `DIR/run`: on `worker-I.sock` for HAProxy and the embedded agent, on
`admin-I.sock` for the person who administers this machine, on `nodes-I.sock` for the node listener, on
`metrics-I.sock` for scrapes. All are
private files, so whoever can connect runs as the same user; where a request came in is a fact of the accepted
socket, not of the request.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from ostiary.cli.data_directory import DataDirectory
from ostiary.foundation.process import end, lasting
from ostiary.foundation.telemetry import configure_logging
from ostiary.foundation.unix_server import Server, private_socket

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
"""Longer than HAProxy keeps an idle connection, so that HAProxy is the one who closes."""
DRAIN_SECONDS = 4


class AcceptedOn:
    """Marks requests by the socket that accepted them: `state.local_administrator` and others."""

    def __init__(self, app: ASGIApp, admin_socket: Path, nodes_socket: Path, metrics_socket: Path) -> None:
        self._app = app
        names = {
            str(admin_socket): "local_administrator",
            str(nodes_socket): "node_listener",
            str(metrics_socket): "metrics",
        }
        self._nothing = dict.fromkeys(names.values(), False)
        self._marks = {socket: {**self._nothing, name: True} for socket, name in names.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            address, port = scope.get("server") or ("", None)
            marks = self._marks.get(address, self._nothing) if port is None else self._nothing
            scope.setdefault("state", {}).update(marks)
        await self._app(scope, receive, send)


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--index", type=int, required=True)
    index = parser.parse_args().index
    with lasting():
        import uvicorn

        from ostiary.app import build_app, load_settings

        sys.stdin.read()  # started early: it begins when whoever prepares the rest lets go of its input
        settings = load_settings()
        configure_logging(settings.log_format)
        directory = DataDirectory(settings.data_dir)
        own = (directory.admin_socket(index), directory.nodes_socket(index), directory.metrics_socket(index))
        app = AcceptedOn(build_app(settings), *own)
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
        sockets = [private_socket(path, BACKLOG) for path in (directory.worker_socket(index), *own)]
        runner.run(Server(config).serve(sockets=sockets))
    end(0)


if __name__ == "__main__":
    main()
