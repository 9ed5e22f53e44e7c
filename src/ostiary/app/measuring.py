"""What a worker counts of itself, and what a scrape gets: all workers' counts, the installation's state.

A scrape reaches one worker, on a socket that serves nothing else; it asks the others and puts their series
beside its own, with a label for each worker, because sums of counters that restart are no counters.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx2
from sqlalchemy import Connection, func, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostiary.app.store_measures import StoreMeasures
from ostiary.foundation import metrics
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.events import latest_number, outbox
from ostiary.gateway import list_nodes
from ostiary.identity import StoreHealth
from ostiary.oauth import OAuthError

if TYPE_CHECKING:
    from prometheus_client import Metric

OWN: Final = "/own"
PAGE: Final = "/metrics"
_WITHIN_SECONDS: Final = 2.0
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_WAITING = select(func.count(), func.min(outbox.c.recorded_at)).where(outbox.c.number.is_(None))


class Measures:
    """The counters of one worker."""

    def __init__(self) -> None:
        labels = ("route", "method", "status")
        self.requests = metrics.Counter(
            "ostiary_http_requests", "Requests the control plane answered", labels
        )
        self.seconds = metrics.Timer("ostiary_http_request_seconds", "How long the answer took", ("route",))
        self.tokens = metrics.Counter(
            "ostiary_token_requests",
            "Requests for tokens: granted, or refused with an error code",
            ("organization", "grant_type", "result"),
        )
        self.stores = StoreMeasures()

    def families(self, health: Iterable[tuple[str, str, StoreHealth]]) -> Iterator[Metric]:
        """Return them with how user stores are, and with what the operating system says of the process."""
        from prometheus_client import ProcessCollector

        for one in (self.requests, self.seconds, self.tokens):
            yield from one.families()
        yield from self.stores.families(health)
        yield from ProcessCollector(registry=None).collect()


class Measured:
    """Counts every request."""

    def __init__(self, app: ASGIApp, measures: Measures) -> None:
        self._app = app
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._note(scope, status, time.monotonic() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route, method = route_of(scope), scope["method"]
        self._measures.requests.add(route, method if method in _METHODS else metrics.OTHER, str(status))
        self._measures.seconds.observe(seconds, route)
        if route.endswith("/token"):
            self._note_token(scope.get("state", {}), status)

    def _note_token(self, state: dict[str, Any], status: int) -> None:
        client, refused = state.get("client"), state.get("refused")
        result = (
            refused.error if isinstance(refused, OAuthError) else "granted" if status == 200 else "failed"
        )
        organization = "" if client is None else client.organization.name
        self._measures.tokens.add(organization, state.get("grant_type", ""), result)


def route_of(scope: Scope) -> str:
    """Return the template of the matched route, without its organization; `other` where none matched."""
    path = getattr(scope.get("route"), "path", metrics.OTHER)
    return str(path).removeprefix("/t/{organization}") or metrics.OTHER


class MetricsParts(NamedTuple):
    """Where a scrape looks besides the worker's own counters."""

    database: Database
    run: Path
    """The folder of the workers' sockets."""
    clock: Clock
    health: Callable[[], Iterable[tuple[str, str, StoreHealth]]]
    """How the worker's user stores are."""


class MetricsPage:
    """Serves scrapes on the socket that is for them (`state.metrics`), and passes everything else on."""

    def __init__(self, app: ASGIApp, measures: Measures, parts: MetricsParts) -> None:
        self._app = app
        self._measures = measures
        self._database, self._run, self._clock, self._health = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope.get("state", {}).get("metrics") is not True:
            await self._app(scope, receive, send)
            return
        if scope["method"] != "GET" or scope["path"] not in (OWN, PAGE):
            await _answer(send, 404, "there is nothing at this address\n")
        elif scope["path"] == OWN:
            await _answer(send, 200, metrics.write(self._measures.families(self._health())))
        else:
            await _answer(send, 200, metrics.write([*await self._workers(), *await self._installation()]))

    async def _workers(self) -> list[Metric]:
        sockets = sorted(self._run.glob("metrics-*.sock"))
        texts = await asyncio.gather(*(worker_counts(socket) for socket in sockets))
        names = [socket.stem.removeprefix("metrics-") for socket in sockets]
        scrapes = [({"worker": n}, metrics.read(text)) for n, text in zip(names, texts, strict=True) if text]
        up: dict[metrics.Labels, float] = {
            (n,): float(text is not None) for n, text in zip(names, texts, strict=True)
        }
        text = "Whether the worker answers"
        return [*metrics.merge(scrapes), metrics.gauge("ostiary_worker_up", text, up, ("worker",))]

    async def _installation(self) -> list[Metric]:
        started, now = time.monotonic(), self._clock()
        version: dict[metrics.Labels, float] = {(metadata.version("ostiary"),): 1.0}
        about = metrics.gauge("ostiary_build_info", "The version that runs", version, ("version",))
        up = 0.0
        found: list[Metric] = []
        with suppress(Exception):
            found, up = await self._database.read(lambda connection: _state(connection, now)), 1.0
        took = time.monotonic() - started
        return [
            about,
            metrics.gauge("ostiary_database_up", "Whether the database answers", {(): up}),
            metrics.gauge("ostiary_database_read_seconds", "How long this scrape's read took", {(): took}),
            *found,
        ]


def _state(connection: Connection, now: datetime) -> list[Metric]:
    waiting, oldest = connection.execute(_WAITING).one()
    latest, nodes = latest_number(connection), list_nodes(connection)
    age = max(0.0, (now - oldest).total_seconds()) if oldest is not None else 0.0
    lag: dict[metrics.Labels, float] = {
        (node.name,): float(max(0, latest - node.acknowledged)) for node in nodes
    }
    seen: dict[metrics.Labels, float] = {
        (node.name,): (now - node.seen_at).total_seconds() for node in nodes if node.seen_at is not None
    }
    return [
        metrics.gauge("ostiary_outbox_waiting", "Changes that have no number yet", {(): float(waiting)}),
        metrics.gauge("ostiary_outbox_oldest_seconds", "For how long the oldest of them waits", {(): age}),
        metrics.gauge("ostiary_plan_latest_number", "Number of the newest change", {(): float(latest)}),
        metrics.gauge("ostiary_node_plan_lag", "Changes the node has not acknowledged", lag, ("node",)),
        metrics.gauge("ostiary_node_seen_seconds", "Since the node asked last", seen, ("node",)),
    ]


async def worker_counts(socket: Path) -> str | None:
    """Ask the worker that listens there what it has counted: the text of a scrape, None where it is gone."""
    try:
        async with httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=str(socket))) as http:
            response = await http.get(f"http://worker{OWN}", timeout=_WITHIN_SECONDS)
            return response.text if response.status_code == 200 else None
    except httpx2.HTTPError:
        return None


async def _answer(send: Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [(b"content-type", metrics.CONTENT_TYPE.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
