"""`POST /internal/gateway/v1/introspect`: a node asks about an opaque token it has not seen (RFC 7662)."""

from typing import Final

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ostiary import oauth
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem
from ostiary.foundation.secrets import SecretBox
from ostiary.foundation.web import BodyTooLong, bounded_body
from ostiary.permissions import GATEWAY_NODE, GuardedRouter

LONGEST_BODY: Final = 262_144


class IntrospectBody(BaseModel):
    """The token in question."""

    model_config = ConfigDict(extra="forbid")

    token: SecretStr


def router(database: Database, box: SecretBox, public_url: str, clock: Clock) -> GuardedRouter:
    """Route the question. The answer has the claims a JWT would have, or `active: false` and nothing else."""
    guarded = GuardedRouter("/internal/gateway/v1", per_organization=False)

    async def introspect(request: Request) -> Response:
        """Say what an opaque token (`{"token"}`) says, while it is good."""
        token = (await _body(request)).token.get_secret_value()
        fingerprint = oauth.token_fingerprint(box, token)

        def read(connection: Connection) -> oauth.JudgedToken | None:
            return oauth.judge_opaque(connection, fingerprint)

        found = await database.recall(("opaque token", fingerprint), read)
        if found is None or not found.is_good(clock()):
            return JSONResponse({"active": False})
        return JSONResponse({"active": True, **found.claims.as_wire(public_url)})

    guarded.add_plain(
        "/introspect", introspect, methods=["POST"], access=GATEWAY_NODE, include_in_schema=False
    )
    return guarded


async def _body(request: Request) -> IntrospectBody:
    try:
        return IntrospectBody.model_validate_json(await bounded_body(request, LONGEST_BODY))
    except (ValidationError, BodyTooLong) as error:
        raise Problem(400, "400", "Bad Request", 'the body must be {"token": "…"}') from error
