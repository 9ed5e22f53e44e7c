"""A login service as an organization might run one, and as it might break.

It speaks the contract of the REST user store over a real socket. `mode` says how it behaves, a
file may say so for a service in a process of its own:

    python tests/support/login_service.py --port P --mode-file F --user testuser=secret

prints its URL on one line and serves until it is killed. The mode file is read at each request.
"""

import argparse
import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

SERVICE_USER, SERVICE_PASSWORD = "gateway", "service-password"
FIFTY_MEGABYTES = 50 * 1024 * 1024

Writer = asyncio.StreamWriter


class LoginService:
    """An asyncio server; `asked` are the names it was asked about, `open_requests` those not yet answered."""

    def __init__(self, users: dict[str, str] | None = None, mode_file: Path | None = None) -> None:
        self.users = users or {}
        self.mode = "check"
        self.released = asyncio.Event()
        self.asked: list[str] = []
        self.open_requests = 0
        self.most_open_requests = 0
        self.connections = 0
        self._mode_file = mode_file
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it answers."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/authenticate"

    async def start(self, port: int = 0) -> "LoginService":
        """Begin to listen; port 0 is a free one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return self

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._answer_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: Writer) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        authorization = next(
            (
                line.partition(": ")[2]
                for line in head.split("\r\n")
                if line.lower().startswith("authorization:")
            ),
            "",
        )
        self.open_requests += 1
        self.most_open_requests = max(self.most_open_requests, self.open_requests)
        try:
            return await self._answer(authorization, body, writer)
        finally:
            self.open_requests -= 1

    async def _answer(self, authorization: str, body: bytes, writer: Writer) -> bool:
        mode = self._mode_file.read_text().strip() if self._mode_file else self.mode
        expected = base64.b64encode(f"{SERVICE_USER}:{SERVICE_PASSWORD}".encode()).decode()
        if authorization != f"Basic {expected}":
            mode = "401"
        credentials = json.loads(body)["credentials"]
        self.asked.append(credentials["username"])
        if mode == "check":
            right = self.users.get(credentials["username"]) == credentials["password"]
            mode = "ok" if right else "refuse"
        if mode == "hold":
            await self.released.wait()
            mode = "ok"
        return await MODES[mode](writer)


def _http(status: str, body: bytes, content_type: str = "application/json", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def _saying(answer: bytes) -> Callable[[Writer], Awaitable[bool]]:
    async def say(writer: Writer) -> bool:
        writer.write(answer)
        await writer.drain()
        return True

    return say


async def _huge(writer: Writer) -> bool:
    body = b'{"response":{"status":"true"},"padding":"'
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {FIFTY_MEGABYTES}\r\n\r\n".encode() + body)
    for _ in range(FIFTY_MEGABYTES // 65_536):
        writer.write(b"x" * 65_536)
        await writer.drain()
    return False


async def _drip(writer: Writer) -> bool:
    for byte in _http("200 OK", b'{"response":{"status":"true"}}'):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)
    return False


async def _nothing(_writer: Writer) -> bool:
    return False


async def _hang(_writer: Writer) -> bool:
    await asyncio.Event().wait()
    return False


MODES: dict[str, Callable[[Writer], Awaitable[bool]]] = {
    "ok": _saying(_http("200 OK", b'{"response":{"status":"true"}}')),
    "refuse": _saying(_http("200 OK", b'{"response":{"status":"false"}}')),
    "401": _saying(_http("401 Unauthorized", b"{}", more='WWW-Authenticate: Basic realm="login"\r\n')),
    "500": _saying(_http("500 Internal Server Error", b'{"response":{"status":"true"}}')),
    "201": _saying(_http("201 Created", b'{"response":{"status":"true"}}')),
    "yes": _saying(_http("200 OK", b'{"response":{"status":"yes"}}')),
    "true": _saying(_http("200 OK", b'{"response":{"status":true}}')),
    "both": _saying(_http("200 OK", b'{"response":{"status":"false","status":"true"}}')),
    "html": _saying(_http("200 OK", b"<html><body>true</body></html>", "text/html")),
    "empty": _saying(_http("200 OK", b"")),
    "redirect": _saying(_http("302 Found", b"", more="Location: /elsewhere\r\n")),
    "huge": _huge,
    "drip": _drip,
    "nothing": _nothing,
    "hang": _hang,
}
"""How the service answers; "check" looks the password up: "ok" or "refuse"; "hold" awaits `released`."""


async def _main() -> None:
    parser = argparse.ArgumentParser(description="A login service that can be told to misbehave.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--mode-file", type=Path)
    parser.add_argument("--user", action="append", default=[], metavar="NAME=PASSWORD")
    arguments = parser.parse_args()
    users = dict(user.split("=", 1) for user in arguments.user)
    service = await LoginService(users, arguments.mode_file).start(arguments.port)
    print(service.url, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
