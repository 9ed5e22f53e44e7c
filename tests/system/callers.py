"""Applications that call without a pause, in a process of their own: `python -m tests.system.callers`.

What is to be called comes as one JSON line on the standard input; the calls go on until the input ends, and
then what became of them is one JSON line on the standard output. Nothing is tried twice: a call that got
another answer than the expected one, or none, has failed.
"""

import asyncio
import json
import ssl
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one kind, made by `connections` callers; each waits `pause` seconds before its next one."""

    path: str
    token: str
    expect: tuple[int, ...] = (200,)
    connections: int = 1
    pause: float = 0.0
    method: str = "GET"
    body: str = ""
    content_type: str = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Outcome:
    """What became of all calls."""

    calls: int
    failed: dict[str, int]
    """What went wrong → how often."""
    p50_ms: float
    p99_ms: float
    longest_ms: float
    seconds: float
    moments: list[str]
    """When the first failures were, and how long each took."""


class Callers:
    """The process; `with` starts it, and `outcome` is there when the block is over."""

    def __init__(self, port: int, *calls: Calls, ca: str | None = None) -> None:
        self._job = {"port": port, "ca": ca, "calls": [asdict(one) for one in calls]}
        self.outcome: Outcome | None = None

    def __enter__(self) -> "Callers":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.callers"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._job) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "calling\n"
        return self

    def __exit__(self, *_: object) -> None:
        said, _ = self._process.communicate(timeout=30)
        self.outcome = Outcome(**json.loads(said))

    def done(self) -> Outcome:
        """What became of the calls, after the block."""
        assert self.outcome is not None
        return self.outcome


@dataclass
class _Record:
    over: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    calls: int = 0
    milliseconds: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    moments: list[str] = field(default_factory=list)

    def fail(self, what: str, began: float) -> None:
        self.failed[what] += 1
        if len(self.moments) < 50:
            took = time.perf_counter() - began
            self.moments.append(f"{time.strftime('%H:%M:%S')} {what[:60]} after {took:.2f} s")


class _Closed(Exception):
    """The other side closed the connection instead of answering."""


async def _caller(job: dict[str, Any], one: Calls, tls: ssl.SSLContext | None, record: _Record) -> None:
    request = _request(one)
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while not record.over.is_set():
        began = time.perf_counter()
        record.calls += 1
        try:
            if connection is None:
                connection = await asyncio.open_connection("localhost", job["port"], ssl=tls)
            status, goes_on = await asyncio.wait_for(_exchange(*connection, request), 30)
        except (OSError, _Closed, asyncio.IncompleteReadError, TimeoutError) as error:
            record.fail(type(error).__name__, began)
            connection = _close(connection)
            await asyncio.sleep(0.01)
            continue
        if status not in one.expect:
            record.fail(f"{status} for {one.method} {one.path}", began)
        record.milliseconds.append(1000 * (time.perf_counter() - began))
        record.begun.set()
        if not goes_on:
            connection = _close(connection)
        if one.pause:
            await asyncio.sleep(one.pause)
    _close(connection)


def _close(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None) -> None:
    if connection is not None:
        connection[1].close()


def _request(one: Calls) -> bytes:
    body = one.body.encode()
    lines = [f"{one.method} {one.path} HTTP/1.1", "Host: localhost"]
    if one.token:
        scheme = "" if " " in one.token else "Bearer "
        lines.append(f"Authorization: {scheme}{one.token}")
    if body:
        lines += [f"Content-Type: {one.content_type}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bool]:
    """Make a call; its status, and whether the connection takes another one."""
    writer.write(request)
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    except asyncio.IncompleteReadError as error:
        raise _Closed from error
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
    else:
        await reader.readexactly(int(headers.get("content-length", "0")))
    return int(head.split()[1]), headers.get("connection") != "close"


async def _main() -> None:
    loop = asyncio.get_running_loop()
    job = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    tls = None if job["ca"] is None else ssl.create_default_context(cafile=job["ca"])
    record, began = _Record(), time.monotonic()
    kinds = [Calls(**{**one, "expect": tuple(one["expect"])}) for one in job["calls"]]
    tasks = [
        asyncio.create_task(_caller(job, one, tls, record)) for one in kinds for _ in range(one.connections)
    ]
    await record.begun.wait()
    print("calling", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    record.over.set()
    await asyncio.gather(*tasks)
    times = sorted(record.milliseconds)
    outcome = Outcome(
        calls=record.calls,
        failed=dict(record.failed),
        p50_ms=times[len(times) // 2],
        p99_ms=times[len(times) * 99 // 100],
        longest_ms=times[-1],
        seconds=time.monotonic() - began,
        moments=record.moments,
    )
    print(json.dumps(asdict(outcome)), flush=True)


if __name__ == "__main__":
    asyncio.run(_main())
