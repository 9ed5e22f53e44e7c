"""Questions over the agent's own transport, on the loop of the product and on the one tests run on."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ostiary.gateway.node.transport import Transport

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GOOD = b"HTTP/1.1 203 Fine\r\nX-Said: so\r\nContent-Length: 2\r\n\r\nok"


async def asked(socket: Path, serve: Serve | None, times: int = 1) -> httpx2.Response:
    """The last answer to as many questions."""
    server = None if serve is None else await asyncio.start_unix_server(serve, socket)
    transport = Transport(socket=socket)
    async with httpx2.AsyncClient(
        base_url="http://control-plane", transport=transport, timeout=0.5
    ) as client:
        for _ in range(times):
            response = await client.post("/question?x=y", json={"who": "bob"})
            await asyncio.sleep(0.02)  # for the loop to hear that the connection was closed
    if server is not None:
        server.close()
    return response


async def _heard(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(len(b'{"who":"bob"}'))


def test_a_question_is_put_and_answered_on_a_connection_that_stays(run: Any, tmp_path: Path) -> None:
    questions, connections = [], 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(2):
            questions.append(await _heard(reader))
            writer.write(GOOD)
        writer.close()

    answer = run(asked(tmp_path / "s", serve, times=4))

    assert (answer.status_code, answer.headers["x-said"], answer.content) == (203, "so", b"ok")
    assert (len(questions), connections) == (4, 2)
    assert questions[0].startswith(b"POST /question?x=y HTTP/1.1\r\nHost: control-plane\r\n")
    assert questions[0].endswith(b'\r\n\r\n{"who":"bob"}')


@pytest.mark.parametrize("how", ["is not there", "hangs", "leaves", "says something else"])
def test_who_does_not_answer_fails_as_with_any_transport(run: Any, tmp_path: Path, how: str) -> None:
    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)
        writer.close()

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _heard(reader)
        writer.write(GOOD[:-1])
        writer.close()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _heard(reader)
        writer.write(b"hello\r\n\r\n")
        writer.close()

    serve, failure = {
        "is not there": (None, httpx2.ConnectError),
        "hangs": (hang, httpx2.ReadTimeout),
        "leaves": (leave, httpx2.RemoteProtocolError),
        "says something else": (talk, httpx2.RemoteProtocolError),
    }[how]

    with pytest.raises(httpx2.HTTPError) as failed:
        run(asked(tmp_path / "s", serve))

    assert failed.type is failure
