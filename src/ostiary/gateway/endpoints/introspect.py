"""`POST /internal/gateway/v1/introspect`: a node asks about an opaque token it has not seen (RFC 7662)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr
from sqlalchemy import Connection
from starlette.requests import Request

from ostiary import oauth
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.secrets import SecretBox
from ostiary.permissions import GATEWAY_NODE, GuardedRouter


class IntrospectBody(BaseModel):
    """The token in question."""

    model_config = ConfigDict(extra="forbid")

    token: SecretStr


def router(database: Database, box: SecretBox, public_url: str, clock: Clock) -> GuardedRouter:
    """Route the question. The answer has the claims a JWT would have, or `active: false` and nothing else."""
    guarded = GuardedRouter("/internal/gateway/v1", per_organization=False)

    @guarded.post("/introspect", access=GATEWAY_NODE, include_in_schema=False)
    async def introspect(request: Request, body: IntrospectBody) -> dict[str, Any]:
        """Say what an opaque token says, while it is good."""
        fingerprint, now = oauth.token_fingerprint(box, body.token.get_secret_value()), clock()

        def read(connection: Connection) -> oauth.TokenClaims | None:
            return oauth.introspect_opaque(connection, fingerprint, now)

        claims = await database.read(read)
        return {"active": False} if claims is None else {"active": True, **claims.as_wire(public_url)}

    return guarded
