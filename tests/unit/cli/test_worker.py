"""The marks of the local administrator and the node listener: facts of the socket that accepted."""

from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from ostiary.cli.worker import AcceptedOn

ADMIN = Path("/data/run/admin-0.sock")
NODES = Path("/data/run/nodes-0.sock")
METRICS = Path("/data/run/metrics-0.sock")


async def _marked(server: Any, mark: str = "local_administrator", **more: Any) -> bool:
    seen: list[bool] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["state"][mark])

    scope = {"type": "http", "server": server, "headers": [], **more}
    await AcceptedOn(app, ADMIN, NODES, METRICS)(scope, None, None)  # type: ignore[arg-type]
    return seen[0]


async def test_a_request_on_the_administration_socket_is_the_local_administrators():
    assert await _marked((str(ADMIN), None))


@pytest.mark.parametrize(
    "server",
    [("/data/run/worker-0.sock", None), ("127.0.0.1", 9443), (str(ADMIN), 9443), None],
    ids=str,
)
async def test_a_request_from_anywhere_else_is_not(server: Any):
    assert not await _marked(server)


async def test_a_request_on_the_node_listeners_socket_is_a_gateway_nodes_and_no_administrators():
    assert await _marked((str(NODES), None), "node_listener")
    assert not await _marked((str(NODES), None))
    assert not await _marked((str(ADMIN), None), "node_listener")


async def test_a_request_cannot_bring_the_mark_along():
    headers = [(b"host", str(ADMIN).encode()), (b"x-local-administrator", b"true")]

    assert not await _marked(
        ("/data/run/worker-0.sock", None), headers=headers, state={"local_administrator": True}
    )


async def test_a_request_on_the_socket_for_scrapes_is_a_scrape_and_nothing_more():
    assert await _marked((str(METRICS), None), "metrics")
    assert not await _marked((str(METRICS), None))
    assert not await _marked((str(ADMIN), None), "metrics")
