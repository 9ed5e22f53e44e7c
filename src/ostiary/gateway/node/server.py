"""What the agent serves on its unix socket: `POST /decide` for HAProxy, `GET /ready` for the supervisor,
`GET /metrics` for Prometheus."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from ostiary.foundation.metrics import CONTENT_TYPE
from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.node.decide import Answer, Decider, Miss
from ostiary.gateway.node.measuring import AgentMeasures

_log = get_logger(__name__)
_LARGEST = 65_536


def agent_app(
    decider: Callable[[], Decider | None], measures: AgentMeasures, metrics: Callable[[], Awaitable[str]]
) -> ASGIApp:
    """Return the ASGI app; while there is no decider yet, nothing is ready and nothing is granted."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        ready = decider()
        route = (scope["method"], scope["path"])
        if route == ("GET", "/ready"):
            await _send(send, *((200, "ready") if ready else (503, "no plan yet")))
        elif route == ("GET", "/metrics"):
            await _send(send, 200, await metrics(), CONTENT_TYPE)
        elif route != ("POST", "/decide"):
            await _send(send, 404, "not here")
        elif ready is None:
            await _send(send, 503, "no plan yet")
        else:
            await _decide(ready, measures, receive, send)

    return app


async def _decide(decider: Decider, measures: AgentMeasures, receive: Receive, send: Send) -> None:
    started = time.monotonic()
    miss = _read(await _body(receive))
    if miss is None:
        await _send(send, 400, "a miss was expected")
        return
    try:
        answer: Answer = await decider.decide(miss)
    except Exception:
        _log.exception("miss_failed", api_id=miss.api_id)
        measures.misses.add("failed")
        await _send(send, 500, "failed")
    else:
        await _send(send, 200, answer.as_text())
        if not answer.is_decided:
            return
        measures.misses.add(answer.refused or "granted")
    measures.seconds.observe(time.monotonic() - started)


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) > _LARGEST:
            return bytes(body)


def _read(body: bytes) -> Miss | None:
    try:
        document: Any = json.loads(body)
        api, sha256, credential = (document[name] for name in ("api", "credential_sha256", "credential"))
    except (ValueError, TypeError, KeyError):
        return None
    if not all(isinstance(one, str) for one in (api, sha256, credential)):
        return None
    request_id, relayed = document.get("request"), document.get("relayed") is not False
    said = request_id if isinstance(request_id, str) else ""
    return Miss(api, sha256, SecretStr(credential), said, relayed)


async def _send(send: Send, status: int, text: str, kind: str = "text/plain; charset=utf-8") -> None:
    body = text.encode()
    headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
