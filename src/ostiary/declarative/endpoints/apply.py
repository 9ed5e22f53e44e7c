"""`POST /api/declarative/v1/apply`: make organizations what their files say.

Under `/t/{organization}` an organization applies its own file. Without it the caller is of the
default organization, whose administrators run the installation: they may apply any organization's
file, and only they make organizations.
"""

from typing import Annotated, Any

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.declarative.apply import Applying, Moved
from ostiary.declarative.complaints import Complaint, Refused
from ostiary.declarative.endpoints.access import ACCESS, refuse_escalation
from ostiary.declarative.endpoints.refusals import refusal
from ostiary.declarative.limits import refuse_too_much
from ostiary.declarative.reading import check_file
from ostiary.declarative.schema import OrganizationFile
from ostiary.declarative.wire import OrganizationPlanDocument, plans_to_wire
from ostiary.foundation.problem import Problem
from ostiary.foundation.telemetry import get_logger
from ostiary.identity import HashingBusy
from ostiary.permissions import GuardedRouter, organization, principal

_log = get_logger(__name__)


class ApplyBody(BaseModel):
    """Organization files as JSON, references resolved."""

    model_config = ConfigDict(extra="forbid")

    documents: list[dict[str, Any]] = Field(min_length=1, max_length=100)
    dry_run: StrictBool = False
    set_secrets: StrictBool = False
    prune: StrictBool = False


class AppliedDocument(TypedDict):
    """What was changed, or would be."""

    applied: bool
    organizations: list[OrganizationPlanDocument]


def router(applying: Applying) -> GuardedRouter:
    """The one route."""
    guarded = GuardedRouter("/api/declarative/v1", tags=["Organization files"])

    @guarded.post("/apply", access=ACCESS, refuses=(409,))
    async def apply(request: Request, body: Annotated[ApplyBody, Body()]) -> AppliedDocument:
        """Apply files in one transaction, or say everything that is wrong with them."""
        refuse_escalation(request)
        try:
            refuse_too_much(body.documents)
            files = _checked(body.documents)
            _refuse_others(request, files)
            plans = await applying.apply(
                files, dry_run=body.dry_run, set_secrets=body.set_secrets, prune=body.prune
            )
        except Refused as refused:
            raise refusal(refused, 400, "Bad Request") from refused
        except Moved as error:
            raise Problem(409, "409", "Conflict", str(error)) from error
        except HashingBusy as error:
            raise Problem(503, "503", "Service Unavailable", str(error), {"Retry-After": "2"}) from error
        _log.info(
            "organization_files_applied",
            by=principal(request).name,
            organizations=[plan.organization for plan in plans],
            changes=sum(len(plan.changes) for plan in plans),
            dry_run=body.dry_run,
        )
        return {"applied": not body.dry_run, "organizations": plans_to_wire(plans)}

    return guarded


def _checked(documents: list[dict[str, Any]]) -> list[OrganizationFile]:
    files: list[OrganizationFile] = []
    complaints: list[Complaint] = []
    for position, document in enumerate(documents):
        try:
            files.append(check_file(document))
        except Refused as refused:
            complaints += [c.under("documents", position) for c in refused.complaints]
    if complaints:
        raise Refused(complaints)
    return files


def _refuse_others(request: Request, files: list[OrganizationFile]) -> None:
    here = organization(request)
    for position, file in enumerate(files):
        if not here.is_default and file.organization.name != here.name:
            path = ("documents", position, "organization", "name")
            raise Refused([Complaint(path, repr(file.organization.name), f"{here.name!r}, as in the URL")])
