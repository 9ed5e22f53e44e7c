"""What the node listener lets through to a worker: enrolled gateway nodes, and those that enrol.

HAProxy there verifies certificates and names the node in a header; workers accept its requests on a socket of
their own, so that nobody else's header is believed. Here is asked whether that node still exists, before
anything else is: a removed node is refused at once, whatever it wants.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem, render
from ostiary.foundation.web import came_from_node_listener, node_of_certificate, request_id
from ostiary.gateway.enrolment import find_enrolled_node
from ostiary.gateway.haproxy import PROTOCOL_PATH

_PREFIX: Final = "/internal/gateway/v1/"
_WITHOUT_CERTIFICATE: Final = frozenset({"/-/ready", f"{_PREFIX}authority", f"{_PREFIX}enrol"})
_PROTOCOL: Final = re.compile(PROTOCOL_PATH)


class NodeListener:
    """Refuses what a gateway node has no business with; every other listener's requests pass."""

    def __init__(self, app: ASGIApp, database: Database) -> None:
        self._app = app
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not came_from_node_listener(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        problem = await self._refusal(request)
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await render(problem, request_id(request))(scope, receive, send)

    async def _refusal(self, request: Request) -> Problem | None:
        path = str(request.scope["path"])
        if path in _WITHOUT_CERTIFICATE:
            return None
        if not path.startswith(_PREFIX) and _PROTOCOL.match(path) is None:
            return Problem(404, "404", "Not Found", "there is nothing at this address for a gateway node")
        node_id = node_of_certificate(request.scope)
        found = None
        if node_id is not None:
            found = await self._database.recall(
                ("enrolled node", node_id), lambda connection: find_enrolled_node(connection, node_id)
            )
        if found is None:
            return Problem(
                401, "401", "Unauthorized", "the certificate of an enrolled gateway node is needed"
            )
        return None
