"""Load from wrk, or from here where each request goes out once; at this machine only, for a bounded time."""

import asyncio
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import HERE


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw."""

    calls: int
    seconds: float
    refused: int
    """Answers of 400 and above."""
    failed: int
    """Connections, reads and writes that failed, and time-outs."""
    p50_ms: float
    p99_ms: float


def require_wrk() -> None:
    """Say where wrk comes from when it is not there."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt-get install wrk")


def request(path: str, token: str | None = None, **headers: str) -> str:
    """A line of a file of requests."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        said["Authorization"] = f"Bearer {token}"
    return "\t".join([path, *(f"{name}: {value}" for name, value in said.items())])


def form(path: str, body: str, **headers: str) -> str:
    """A line that posts a form."""
    return f"{request(path, **headers)}\tbody: {body}"


def write(file: Path, requests: Iterable[str]) -> Path:
    """Write a file of requests."""
    file.write_text("\n".join(requests) + "\n")
    return file


def run(url: str, requests: Path, seconds: float, *, connections: int = 32, pause_ms: int = 0) -> Load:
    """Send the requests of the file in turn for so many seconds.

    With `pause_ms` each connection waits that long on average before its next request, so that every
    contestant is offered the same rate and the 99th percentile does not depend on its throughput.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s", "-s"]
    command += [str(HERE / "load.lua"), url, str(requests), str(pause_ms)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise RuntimeError(f"wrk said: {done.stdout}{done.stderr}")
    calls, micros, refused, failed, p50, p99 = map(int, line.split()[1:])
    return Load(calls, micros / 1e6, refused, failed, p50 / 1000, p99 / 1000)


@dataclass(frozen=True, slots=True)
class Once:
    """Each request sent once."""

    calls: int
    seconds: float
    statuses: Counter[int]


def each_once(port: int, requests: Path, connections: int = 16) -> Once:
    """Send every request of the file once, over so many connections; wrk can only run for a time."""
    started = time.monotonic()
    statuses = asyncio.run(_each_once(port, iter(requests.read_text().splitlines()), connections))
    return Once(statuses.total(), time.monotonic() - started, statuses)


async def _each_once(port: int, lines: Iterator[str], connections: int) -> Counter[int]:
    statuses: Counter[int] = Counter()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for line in lines:
            writer.write(_wire(line))
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            statuses[int(head[9:12])] += 1
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return statuses


def _wire(line: str) -> bytes:
    path, *fields = line.split("\t")
    body = next((field.removeprefix("body: ") for field in fields if field.startswith("body: ")), None)
    headers = [field for field in fields if not field.startswith("body: ")]
    if body is not None:
        headers += [f"Content-Length: {len(body)}", "Content-Type: application/x-www-form-urlencoded"]
    first = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1"
    return "\r\n".join([first, "Host: localhost", *headers, "", body or ""]).encode()
