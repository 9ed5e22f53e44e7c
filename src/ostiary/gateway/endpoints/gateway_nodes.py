"""The internal REST API of gateway nodes: /api/server/v1/gateway-nodes.

Nodes are the platform's: the routes exist for the organization `default` alone, whose administrators, and the
local one, may use them. No organization can create a node.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, NotRequired

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import Created, NoContent
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem
from ostiary.foundation.secrets import SecretBox
from ostiary.foundation.telemetry import get_logger
from ostiary.gateway import enrolment
from ostiary.gateway.enrolment import EnrolmentToken
from ostiary.gateway.errors import InvalidNodeName, NodeExists
from ostiary.gateway.nodes import ALIVE
from ostiary.gateway.repository import NodeRecord
from ostiary.permissions import GuardedRouter, needs, principal

_log = get_logger(__name__)
NodeState = Literal["waiting", "token expired", "away", "embedded", "connected"]
_ROOT: Final = "/permission/protected/manage/gateway_nodes"
_VIEW = needs(f"{_ROOT}/view", "internal_gateway_node_view")
_CREATE = needs(f"{_ROOT}/create", "internal_gateway_node_create")
_DELETE = needs(f"{_ROOT}/delete", "internal_gateway_node_delete")


class NodeBody(BaseModel):
    """A node that is to enrol."""

    model_config = ConfigDict(extra="forbid")

    name: str


class NodeDocument(TypedDict):
    """A gateway node; `token` is said once, by the answer that makes it."""

    id: str
    name: str
    state: NodeState
    plan: int | None
    seen_at: str | None
    enrolled_at: str | None
    token_expires_at: str | None
    token: NotRequired[str]


class NodesDocument(TypedDict):
    """Every gateway node, by name."""

    count: int
    list: list[NodeDocument]


def router(database: Database, box: SecretBox, clock: Clock) -> GuardedRouter:
    """List, add and remove gateway nodes."""
    guarded = GuardedRouter("/api/server/v1/gateway-nodes", tags=["Gateway nodes"], per_organization=False)

    @guarded.get("", access=_VIEW)
    async def list_all(request: Request) -> NodesDocument:
        """Every gateway node by name: whether it is enrolled, when it was seen, which plan it has."""
        now = clock()
        found = await database.read(enrolment.list_nodes)
        return {"count": len(found), "list": [present(node, now) for node in found]}

    @guarded.post("", access=_CREATE, refuses=(409,))
    async def add(request: Request, body: NodeBody) -> Created[NodeDocument]:
        """Make a one-time token with which a node of this name may enrol; it is shown this once."""
        now = clock()

        def unit(connection: Connection) -> tuple[NodeRecord, EnrolmentToken]:
            return enrolment.add_node(connection, body.name, box, now)

        try:
            node, token = await database.write(unit)
        except InvalidNodeName as error:
            raise Problem(400, "400", "Bad Request", str(error)) from error
        except (NodeExists, IntegrityError) as error:
            text = str(error) if isinstance(error, NodeExists) else f"{body.name} was just added"
            raise Problem(409, "409", "Conflict", text) from error
        _log.info("gateway_node_added", node=node.name, by=principal(request).name)
        return Created({**present(node, now), "token": token.text().get_secret_value()})

    @guarded.delete("/{name}", access=_DELETE)
    async def remove(request: Request, name: str) -> NoContent:
        """Remove a gateway node, or make its unused token void; it is refused from then on."""
        if not await database.write(lambda connection: enrolment.remove_node(connection, name, clock())):
            raise Problem(
                404, "404", "Not Found", "there is no gateway node of that name that could be removed"
            )
        _log.info("gateway_node_removed", node=name, by=principal(request).name)
        return NoContent()

    return guarded


def present(node: NodeRecord, now: datetime) -> NodeDocument:
    """Write a node as it is shown."""
    return {
        "id": node.id,
        "name": node.name,
        "state": _state(node, now),
        "plan": node.acknowledged,
        "seen_at": _text(node.seen_at),
        "enrolled_at": _text(node.enrolled_at),
        "token_expires_at": _text(node.enrolment_expires_at) if node.enrolled_at is None else None,
    }


def _state(node: NodeRecord, now: datetime) -> NodeState:
    if node.enrolled_at is None:
        is_over = node.enrolment_expires_at is None or node.enrolment_expires_at <= now
        return "token expired" if is_over else "waiting"
    if node.seen_at is None or now - node.seen_at > ALIVE:
        return "away"
    return "embedded" if node.is_embedded else "connected"


def _text(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat().replace("+00:00", "Z")
