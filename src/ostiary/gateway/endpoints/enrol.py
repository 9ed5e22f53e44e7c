"""How a gateway node gets its certificates: `/internal/gateway/v1/authority`, `/enrol`, `/node/certificate`.

The first two are for a machine that has nothing but a one-time token, so they take no certificate; they exist
at the node listener alone. The token holds the authority's fingerprint: a node reads the authority first,
compares, and only then shows the token to whom that authority has certified.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from ostiary.foundation.certificates import BadSigningRequest
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem
from ostiary.foundation.secrets import SecretBox
from ostiary.foundation.telemetry import get_logger
from ostiary.foundation.web import client_address
from ostiary.gateway import enrolment
from ostiary.gateway.enrolment import Enrolled, EnrolmentToken
from ostiary.gateway.errors import NotEnrolled
from ostiary.permissions import GATEWAY_NODE, NEW_GATEWAY_NODE, GuardedRouter, principal

_log = get_logger(__name__)


class CertificateBody(BaseModel):
    """A PEM certificate signing request."""

    model_config = ConfigDict(extra="forbid")

    request: str = Field(max_length=10_000)


class EnrolBody(CertificateBody):
    """The same, with the one-time token."""

    token: SecretStr


def router(database: Database, box: SecretBox, lifetime: timedelta, clock: Clock) -> GuardedRouter:
    """Route enrolment and renewal."""
    guarded = GuardedRouter("/internal/gateway/v1", per_organization=False)
    _enrolling(guarded, database, box, lifetime, clock)

    @guarded.post("/node/certificate", access=GATEWAY_NODE, include_in_schema=False)
    async def renew(request: Request, body: CertificateBody) -> dict[str, Any]:
        """Certify an enrolled node again."""
        node_id, now = principal(request).name, clock()

        def unit(connection: Connection) -> Enrolled:
            return enrolment.renew(connection, node_id, body.request.encode(), box, now, lifetime)

        try:
            return _present(await database.read(unit))
        except BadSigningRequest as error:
            raise Problem(400, "400", "Bad Request", f"request: {error}") from error
        except NotEnrolled as error:
            raise Problem(403, "403", "Forbidden", str(error)) from error

    return guarded


def _enrolling(
    guarded: GuardedRouter, database: Database, box: SecretBox, lifetime: timedelta, clock: Clock
) -> None:
    @guarded.get("/authority", access=NEW_GATEWAY_NODE, include_in_schema=False)
    async def authority(request: Request) -> Response:
        """The certificate of the authority that certifies nodes and control planes."""
        found = await database.read(lambda connection: enrolment.find_authority(connection, box))
        if found is None:
            raise Problem(404, "404", "Not Found", "there is no authority for gateway nodes yet")
        return Response(found.certificate_pem, media_type="application/x-pem-file")

    @guarded.post("/enrol", access=NEW_GATEWAY_NODE, include_in_schema=False)
    async def enrol(request: Request, body: EnrolBody) -> dict[str, Any]:
        """Use a one-time token up and certify the node it was made for."""
        now = clock()

        def unit(connection: Connection) -> Enrolled:
            token = EnrolmentToken.parse(body.token.get_secret_value())
            return enrolment.enrol(connection, token, body.request.encode(), box, now, lifetime)

        try:
            made = await database.write(unit)
        except NotEnrolled as error:
            _log.warning("gateway_node_not_enrolled", address=client_address(request))
            raise Problem(403, "403", "Forbidden", str(error)) from error
        except BadSigningRequest as error:
            raise Problem(400, "400", "Bad Request", f"request: {error}") from error
        except ValueError as error:
            raise Problem(400, "400", "Bad Request", f"token: {error}") from error
        _log.info("gateway_node_enrolled", node=made.node.name, address=client_address(request))
        return _present(made)


def _present(made: Enrolled) -> dict[str, Any]:
    return {
        "node_id": made.node.id,
        "name": made.node.name,
        "certificate": made.certificate.decode(),
        "authority": made.authority.decode(),
    }
