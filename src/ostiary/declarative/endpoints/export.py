"""`GET /api/declarative/v1/export`: an organization as the file that, applied again, changes nothing.

Where a secret is set the document says `{unchanged: true}`, so it may be sent to `apply` as it is.
"""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request

from ostiary.declarative.complaints import Refused
from ostiary.declarative.endpoints.access import ACCESS, refuse_escalation
from ostiary.declarative.endpoints.refusals import refusal
from ostiary.declarative.export import SECTIONS, TooLarge, export
from ostiary.declarative.wire import ExportDocument, export_to_wire
from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem
from ostiary.foundation.telemetry import get_logger
from ostiary.permissions import GuardedRouter, organization, principal

_log = get_logger(__name__)


def router(database: Database) -> GuardedRouter:
    """The one route."""
    guarded = GuardedRouter("/api/declarative/v1", tags=["Organization files"])

    @guarded.get("/export", access=ACCESS, refuses=(404, 409))
    async def export_organization(
        request: Request,
        name: Annotated[str | None, Query(alias="organization", max_length=63)] = None,
        without: Annotated[list[str] | None, Query(max_length=len(SECTIONS))] = None,
    ) -> ExportDocument:
        """Describe an organization as a file, without secrets; the URL's own if none is named."""
        refuse_escalation(request)
        wanted = _wanted(request, name)
        try:
            exported = await export(database, wanted, _sections(without or []))
        except TooLarge as error:
            raise Problem(409, "409", "Conflict", str(error)) from error
        except Refused as refused:
            raise refusal(refused, 409, "Conflict") from refused
        if exported is None:
            raise _unknown()
        _log.info("organization_exported", by=principal(request).name, organization=wanted)
        return export_to_wire(exported)

    return guarded


def _wanted(request: Request, name: str | None) -> str:
    """Which organization; of others than its own only the default one knows."""
    here = organization(request)
    if name not in (None, here.name) and not here.is_default:
        raise _unknown()
    return here.name if name is None else name


def _sections(names: list[str]) -> list[str]:
    for name in names:
        if name not in SECTIONS:
            expected = f"without: one of {', '.join(SECTIONS)}"
            raise Problem(400, "400", "Bad Request", expected)
    return names


def _unknown() -> Problem:
    return Problem(404, "404", "Not Found", "there is no such organization")
