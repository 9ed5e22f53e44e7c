"""`POST /internal/gateway/v1/claims`: a node asks what an API's backend is told of a user."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem
from ostiary.foundation.web import BodyTooLong, bounded_body
from ostiary.gateway.claims import claims_for
from ostiary.permissions import GATEWAY_NODE, GuardedRouter

_LONGEST_BODY: Final = 4_096
Id = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[!-~]+$")]


class ClaimsBody(BaseModel):
    """About whom, and for which API; both are of that organization."""

    model_config = ConfigDict(extra="forbid")

    organization_id: Id
    api_id: Id
    subject: Id


def router(database: Database) -> GuardedRouter:
    """Route the question."""
    guarded = GuardedRouter("/internal/gateway/v1", per_organization=False)

    async def claims(request: Request) -> Response:
        """Say the claims of a user that the API asks for, and the number of the plan they are as new as."""
        body = await _body(request)
        found = await database.read(
            lambda connection: claims_for(connection, body.organization_id, body.api_id, body.subject)
        )
        if found is None:
            raise Problem(404, "404", "Not Found", "there is no such API in that organization")
        return JSONResponse(found.to_wire())

    guarded.add_plain("/claims", claims, methods=["POST"], access=GATEWAY_NODE, include_in_schema=False)
    return guarded


async def _body(request: Request) -> ClaimsBody:
    try:
        return ClaimsBody.model_validate_json(await bounded_body(request, _LONGEST_BODY))
    except (ValidationError, BodyTooLong) as error:
        expected = 'the body must be {"organization_id": "…", "api_id": "…", "subject": "…"}'
        raise Problem(400, "400", "Bad Request", expected) from error
