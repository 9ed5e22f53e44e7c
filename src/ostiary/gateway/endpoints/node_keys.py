"""`PUT /internal/gateway/v1/node/keys`: a node says which keys it signs backend JWTs with."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem
from ostiary.gateway.errors import InvalidNodeKeys
from ostiary.gateway.nodes import register_node_keys
from ostiary.gateway.settings import GatewaySettings
from ostiary.permissions import GATEWAY_NODE, GuardedRouter, principal


class NodeKeyBody(BaseModel):
    """One public key of a node."""

    model_config = ConfigDict(extra="forbid")

    kid: str = Field(max_length=64)
    jwk: dict[str, Any]
    state: str


class NodeKeysBody(BaseModel):
    """All keys of a node."""

    model_config = ConfigDict(extra="forbid")

    keys: list[NodeKeyBody] = Field(max_length=10)


class RegisteredKeys(BaseModel):
    """What a node is told of its keys."""

    first: bool


def router(database: Database, settings: GatewaySettings, clock: Clock) -> GuardedRouter:
    """Route the registration of a node's keys."""
    guarded = GuardedRouter("/internal/gateway/v1", per_organization=False)

    @guarded.put("/node/keys", access=GATEWAY_NODE, include_in_schema=False)
    async def register(request: Request, body: NodeKeysBody) -> RegisteredKeys:
        """Publish exactly these keys as the node's; `first` says that no list without them is cached."""
        node_id, now = principal(request).name, clock()
        keys = [key.model_dump() for key in body.keys]
        try:
            in_use = settings.node_in_use_for
            first = await database.write(lambda c: register_node_keys(c, node_id, keys, now, in_use))
        except InvalidNodeKeys as error:
            raise Problem(400, "400", "Bad Request", str(error)) from error
        return RegisteredKeys(first=first)

    return guarded
