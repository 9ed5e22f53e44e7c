"""`GET /gateway/jwks`: the keys with which backends verify `X-JWT-Assertion` (RFC 7517 §5)."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import Document, Shown
from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem
from ostiary.gateway.nodes import published_node_keys
from ostiary.gateway.settings import GatewaySettings
from ostiary.organizations import DEFAULT_ORGANIZATION, find
from ostiary.permissions import OPEN, GuardedRouter


class KeySetDocument(TypedDict):
    """Public keys (RFC 7517 §5)."""

    keys: list[dict[str, object]]


class KeySet(Shown[Document]):
    """Public keys as their specification names them (RFC 7517 §8.5.2)."""

    media_type = "application/jwk-set+json"


def router(database: Database, settings: GatewaySettings) -> GuardedRouter:
    """Route the published keys; every organization's address shows those of all nodes."""
    guarded = GuardedRouter("/gateway", tags=["Gateway"])
    max_age = int(settings.jwks_max_age.total_seconds())

    @guarded.get("/jwks", access=OPEN, refuses=(404,))
    async def jwks(request: Request) -> KeySet[KeySetDocument]:
        """Publish the keys that sign `X-JWT-Assertion`."""
        name = request.path_params.get("organization", DEFAULT_ORGANIZATION)
        keys = await database.read(lambda connection: _keys(connection, name))
        if keys is None:
            raise Problem(404, "404", "Not Found", f"there is no organization {name}")
        lasting = f"public, max-age={max_age}" if keys else "no-store"  # the first key signs at once
        return KeySet({"keys": keys}, {"Cache-Control": lasting})

    return guarded


def _keys(connection: Connection, organization: str) -> list[dict[str, object]] | None:
    return None if find(connection, organization) is None else published_node_keys(connection)
