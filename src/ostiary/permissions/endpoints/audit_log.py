"""GET /api/server/v1/audit-log: what an organization's administrators did, and what was refused to whom."""

from typing import Annotated, Literal, cast

from fastapi import Query
from pydantic import ConfigDict, with_config
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.audit import Wanted, read_records
from ostiary.foundation.database import Database
from ostiary.foundation.secrets import SecretBox
from ostiary.permissions.access import needs
from ostiary.permissions.guard import organization
from ostiary.permissions.router import GuardedRouter

_ACCESS = needs("/permission/admin/monitor/audit", "internal_audit_view")
_LONGEST_PAGE = 500


@with_config(ConfigDict(extra="allow"))
class AuditRecordDocument(TypedDict):
    """What was done or refused, with its place in the chain; who did it and to what where that is known."""

    sequence: int
    at: str
    action: str
    outcome: Literal["done", "refused"]
    hash: str


class AuditPageDocument(TypedDict):
    """Records, oldest first."""

    records: list[AuditRecordDocument]


def router(database: Database, box: SecretBox) -> GuardedRouter:
    """Route the audit log."""
    guarded = GuardedRouter("/api/server/v1", tags=["Server"])

    @guarded.get("/audit-log", access=_ACCESS)
    async def audit_log(
        request: Request,
        after: Annotated[int, Query(ge=0, le=2**53)] = 0,
        limit: Annotated[int, Query(ge=1, le=_LONGEST_PAGE)] = 100,
        request_id: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = None,
        concerning: Annotated[str | None, Query(max_length=400, pattern=r"^[^\x00]*$")] = None,
    ) -> AuditPageDocument:
        """The organization's audit log, oldest first; `after` is the last `sequence` of the page before."""
        here, wanted = organization(request).id, Wanted(after, limit, request_id, concerning)
        records = await database.read(lambda c: list(read_records(c, box, here, wanted)))
        return {"records": cast(list[AuditRecordDocument], records)}

    return guarded
