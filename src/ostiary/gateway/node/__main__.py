"""The agent process: `python -m ostiary.gateway.node --data-dir DIR --settings JSON`.

It listens on `DIR/run/agent.sock`, a private file, and proves itself to the control plane with
`DIR/node/credential`. SIGTERM ends it with status 0; losing the plan's follower ends it with 1, and whoever
started it starts it again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
import uvloop

from ostiary.foundation.telemetry import configure_logging, get_logger
from ostiary.gateway.node.agent import Agent, read_credential
from ostiary.gateway.node.control_plane import ControlPlane
from ostiary.gateway.node.server import agent_app
from ostiary.gateway.settings import NodeSettings

_log = get_logger("ostiary.gateway.node")


class Server(uvicorn.Server):
    """Uvicorn that is told to stop by us and ends with status 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def serve(settings: NodeSettings) -> int:
    """Serve until told to stop; returns the exit status."""
    control_plane = ControlPlane.over(settings.workers, read_credential(settings.own / "credential"))
    agent = Agent(settings, control_plane, time.time)
    server = Server(
        uvicorn.Config(
            agent_app(agent.decider),
            http="httptools",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
    )
    working = asyncio.create_task(agent.run())
    serving = asyncio.create_task(server.serve(sockets=[private_socket(settings.agent_socket)]))
    await asyncio.wait({working, serving}, return_when=asyncio.FIRST_COMPLETED)
    failed = working.done()
    if failed:
        _log.error("agent_failed", exc_info=working.exception())
    server.should_exit = True
    working.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await working
    await serving
    await agent.close()
    return 1 if failed else 0


def private_socket(path: Path) -> socket.socket:
    """Listen on a unix socket that only this user can connect to; takes the place of a dead agent's."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    listening.listen(1024)
    return listening


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m ostiary.gateway.node")
    parser.add_argument("--data-dir", required=True, type=Path)
    parser.add_argument("--settings", default="{}")
    parser.add_argument("--wait", action="store_true", help="begin when standard input ends")
    arguments = parser.parse_args()
    if arguments.wait:
        sys.stdin.read()
    settings = NodeSettings(data_directory=arguments.data_dir, **json.loads(arguments.settings))
    configure_logging(settings.log_format)
    if not (settings.own / "credential").exists():
        _log.error("no_credential", advice=f"{settings.own}/credential is made by `ostiary serve`")
        sys.exit(1)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(serve(settings)))


if __name__ == "__main__":
    main()
