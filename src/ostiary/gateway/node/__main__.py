"""The agent process: `python -m ostiary.gateway.node --data-dir DIR --settings JSON`.

It listens on `DIR/run/agent.sock`, a private file, and proves itself to the control plane with
`DIR/node/credential`. SIGTERM ends it with status 0; losing the plan's follower ends it with 1, and whoever
started it starts it again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import uvicorn
import uvloop
from pydantic import SecretStr

from ostiary.foundation.clock import utc_now
from ostiary.foundation.process import end, lasting
from ostiary.foundation.telemetry import configure_logging, get_logger
from ostiary.foundation.unix_server import Server, private_socket
from ostiary.gateway.node.agent import Agent
from ostiary.gateway.node.control_plane import ControlPlane
from ostiary.gateway.node.identity import NodeIdentity
from ostiary.gateway.node.renewal import keep_certified
from ostiary.gateway.node.server import agent_app
from ostiary.gateway.settings import NodeSettings

BACKLOG = 1024
_log = get_logger("ostiary.gateway.node")


async def serve(settings: NodeSettings) -> int:
    """Serve until told to stop; returns the exit status."""
    identity = NodeIdentity.load(settings.own) if settings.is_enrolled else None
    control_plane = _control_plane(settings, identity)
    with lasting():
        agent = Agent(settings, control_plane, time.time)
    server = Server(
        uvicorn.Config(
            agent_app(agent.decider, agent.measures, agent.metrics),
            http="httptools",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
    )
    working = asyncio.create_task(_work(agent, identity, control_plane))
    settings.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    listening = private_socket(settings.agent_socket, BACKLOG)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
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


def _control_plane(settings: NodeSettings, identity: NodeIdentity | None) -> ControlPlane:
    if identity is None:
        return ControlPlane.over(
            settings.workers, SecretStr((settings.own / "credential").read_text().strip())
        )
    return ControlPlane.at(identity.control_planes, identity.tls())


async def _work(agent: Agent, identity: NodeIdentity | None, control_plane: ControlPlane) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(agent.run())
        if identity is not None:
            tasks.create_task(keep_certified(identity, control_plane, utc_now))


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
    proof = settings.own / ("identity.json" if settings.is_enrolled else "credential")
    if not proof.exists():
        _log.error("no_credential", advice=f"{proof} is made by `ostiary serve` or `ostiary gateway`")
        sys.exit(1)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        status = runner.run(serve(settings))
    end(status)


if __name__ == "__main__":
    main()
