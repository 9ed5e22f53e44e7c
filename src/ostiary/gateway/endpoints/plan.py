"""`GET /internal/gateway/v1/plan`: a node asks for the plan and waits for its changes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from ostiary.foundation.clock import utc_now
from ostiary.foundation.events import TooOld
from ostiary.foundation.problem import Problem
from ostiary.gateway.errors import InvalidPage, NodeGone
from ostiary.gateway.feed import LONGEST_WAIT, PlanFeed
from ostiary.gateway.plan import TIME_HEADER, PlanAnswer, content_digest
from ostiary.permissions import GATEWAY_NODE, GuardedRouter, principal

Result = TypeVar("Result")
_LARGEST_NUMBER = 2**63 - 1


def router(feed: PlanFeed) -> GuardedRouter:
    """Route the plan."""
    guarded = GuardedRouter("/internal/gateway/v1", per_organization=False)

    @guarded.get("/plan", access=GATEWAY_NODE, include_in_schema=False)
    async def plan(request: Request) -> Response:
        """The whole plan, or what changed after a number; waits `wait` seconds for the first change.

        With `page` the whole plan comes in pages: an empty one is the first, each answer names the next.
        `seen` is the number of the plan that the node uses, which what it asks on from need not be yet. A
        node of version 0.1 does not send it, and uses what it asks on from.
        """
        number, wait = _integer(request, "after", _LARGEST_NUMBER), _integer(request, "wait", LONGEST_WAIT)
        seen = _integer(request, "seen", _LARGEST_NUMBER) if "seen" in request.query_params else number
        node_id = principal(request).name
        page = request.query_params.get("page")
        if number == 0 and page is None:
            return _answer(await feed.complete(node_id))
        if number == 0:
            return await _page(feed, node_id, page or "")
        await feed.acknowledge(node_id, seen)
        try:
            return await _unless_gone(request, feed.after(node_id, number, wait, paged=page is not None))
        except NodeGone as error:
            raise Problem(401, "401", "Unauthorized", "this gateway node was removed") from error
        except TooOld as error:
            raise Problem(410, "410", "Gone", f"{error}: ask for the complete plan") from error

    return guarded


async def _page(feed: PlanFeed, node_id: str, page: str) -> Response:
    try:
        return _answer(await feed.page(node_id, page))
    except InvalidPage as error:
        raise Problem(400, "400", "Bad Request", "page: what the last answer named was expected") from error


async def _unless_gone(request: Request, changes: Coroutine[Any, Any, PlanAnswer]) -> Response:
    """Wait for the changes no longer than the node does: nobody's long poll holds up a worker that stops."""
    answering, leaving = asyncio.create_task(changes), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return _answer(answering.result()) if answering.done() else Response(status_code=204)
    finally:
        answering.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _answer(answer: PlanAnswer) -> Response:
    body = orjson.dumps(answer.to_wire())
    headers = {"Content-Digest": content_digest(body), TIME_HEADER: f"{utc_now().timestamp():.3f}"}
    return Response(body, media_type="application/json", headers=headers)


def _integer(request: Request, name: str, largest: float) -> int:
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= largest):
        raise Problem(400, "400", "Bad Request", f"{name}: a number from 0 to {int(largest)} was expected")
    return int(text)
