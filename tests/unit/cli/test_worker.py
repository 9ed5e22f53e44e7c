"""The mark of the local administrator: a fact of the socket that accepted, out of a request's reach."""

from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from ostiary.cli.worker import LocalAdministrator

ADMIN = Path("/data/run/admin-0.sock")


async def _marked(server: Any, **more: Any) -> bool:
    seen: list[bool] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["state"]["local_administrator"])

    scope = {"type": "http", "server": server, "headers": [], **more}
    await LocalAdministrator(app, ADMIN)(scope, None, None)  # type: ignore[arg-type]
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


async def test_a_request_cannot_bring_the_mark_along():
    headers = [(b"host", str(ADMIN).encode()), (b"x-local-administrator", b"true")]

    assert not await _marked(
        ("/data/run/worker-0.sock", None), headers=headers, state={"local_administrator": True}
    )
