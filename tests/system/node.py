"""A gateway node's agent as a real process, over a control plane that the test runs itself."""

import asyncio
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from tests.http.gateway.gateway import CREDENTIAL, Gateway

from ostiary.gateway import GatewaySettings, NodeSettings
from ostiary.gateway.haproxy import map_files


@dataclass
class Served:
    """An ASGI app on a unix socket that can be stopped and started."""

    app: Any
    path: Path
    requests: list[str] = field(default_factory=list)
    _server: uvicorn.Server | None = None
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen."""

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            self.requests.append(str(scope.get("path")))
            await self.app(scope, receive, send)

        config = uvicorn.Config(
            counted, uds=str(self.path), lifespan="off", log_config=None, timeout_graceful_shutdown=0
        )
        self._server = _Quiet(config)
        self._task = asyncio.create_task(self._server.serve())
        await until(self.path.exists)

    async def stop(self) -> None:
        """Close the socket and every connection."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
            self.path.unlink(missing_ok=True)
        self._server = self._task = None


class _Quiet(uvicorn.Server):
    """Leaves the test's signals alone."""

    def capture_signals(self) -> Any:
        from contextlib import nullcontext

        return nullcontext()


@dataclass
class Node:
    """One data directory and the agent on it."""

    directory: Path
    settings: NodeSettings
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the agent; it is not ready yet."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.settings.command(), stdout=log, stderr=log, env={**os.environ, "PYTHONUNBUFFERED": "1"}
            )

    async def ready(self) -> None:
        """Wait until the agent says it is ready."""
        await until_async(self.is_ready)

    async def is_ready(self) -> bool:
        """Whether the agent answers and has a plan."""
        try:
            async with self._client() as http:
                return (await http.get("http://agent/ready")).status_code == 200
        except httpx2.HTTPError:
            return False

    def stop(self) -> int:
        """End the agent; its exit status."""
        if self.process is None:
            return 0
        self.process.terminate()
        return self.process.wait(timeout=10)

    def kill(self) -> None:
        """End the agent without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=10)

    async def decide(self, api: str, credential: str) -> str:
        """Ask as HAProxy does; the first line of the answer."""
        return (await self.ask(api, credential)).partition("\n")[0]

    async def ask(self, api: str, credential: str) -> str:
        """Ask as HAProxy does; the whole answer."""
        miss = {
            "api": api,
            "credential_sha256": hashlib.sha256(credential.encode()).hexdigest(),
            "credential": credential,
            "address": "192.0.2.1",
        }
        async with self._client() as http:
            answer = await http.post("http://agent/decide", content=json.dumps(miss))
        assert answer.status_code == 200, answer.text
        return answer.text

    def maps(self) -> set[str]:
        """The map files there are."""
        return {file.name for file in (self.directory / "run" / "maps").glob("*.map")}

    def unsent(self) -> int:
        """Calls it has counted and nobody has taken from it."""
        reports = [json.loads(usage) for (usage,) in self._counts("SELECT usage FROM report")]
        ((calls,),) = self._counts("SELECT coalesce(sum(calls), 0) FROM unsent")
        return int(calls) + sum(row["calls"] for report in reports for row in report)

    def kept(self) -> int:
        """Calls of long windows that it has written down."""
        ((calls,),) = self._counts("SELECT coalesce(sum(own), 0) FROM windows")
        return int(calls)

    def _counts(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.directory / "node" / "counts.db")) as store:
            return list(store.execute(query))

    def _client(self) -> httpx2.AsyncClient:
        socket = str(self.settings.agent_socket)
        return httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=socket), timeout=5)


@asynccontextmanager
async def a_node(gateway: Gateway, directory: Path, **settings: Any) -> AsyncIterator[tuple[Node, Served]]:
    """A served control plane, and a node that is not started."""
    run, own = directory / "run", directory / "node"
    for folder in (run, own):
        folder.mkdir(mode=0o700, parents=True)
    (own / "credential").write_text(CREDENTIAL)
    node_settings = NodeSettings(
        data_directory=directory,
        control_plane=(run / "worker-0.sock", run / "worker-1.sock"),
        gateway=GatewaySettings(**settings),
        log_format="json",
    )
    node = Node(directory, node_settings, directory / "agent.log")
    served = Served(gateway.app, run / "worker-1.sock")  # worker 0 is down, as workers are now and then
    await served.start()
    try:
        yield node, served
    finally:
        node.kill()
        await served.stop()
        sys.stderr.write(node.log.read_text() if node.log.exists() else "")


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (other processes tell nobody)
            await asyncio.sleep(0.01)


async def until_async(condition: Callable[[], Coroutine[Any, Any, object]], seconds: float = 10) -> None:
    """Wait for a condition that has to be asked."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 (other processes tell nobody)
            await asyncio.sleep(0.01)


ALL_MAPS = set(map_files())
