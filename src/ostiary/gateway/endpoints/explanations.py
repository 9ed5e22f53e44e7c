"""Why a request was refused: told by gateway nodes, read by an organization's administrators."""

from __future__ import annotations

from typing import Literal, NotRequired, cast

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import NoContent, Shown
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem
from ostiary.gateway.errors import UnknownExplanation
from ostiary.gateway.explanations import find_explanation, note_explanations
from ostiary.permissions import GATEWAY_NODE, GuardedRouter, needs, organization, principal

_ACCESS = needs("/permission/admin/monitor/logging", "internal_log_view")


class StepBody(BaseModel):
    """One check."""

    model_config = ConfigDict(extra="ignore")

    check: str = Field(max_length=300)
    compared: str = Field("", max_length=1000)
    outcome: Literal["passed", "failed"]
    reason: str | None = Field(None, max_length=1000)


class ExplanationBody(BaseModel):
    """One refused call. Members of a newer node's that are not known here are left out."""

    model_config = ConfigDict(extra="ignore")

    request_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    organization: str = Field(max_length=100)
    at: float
    node: str = Field("", max_length=100)
    trace_id: str = Field("", max_length=64)
    method: str = Field("", max_length=100)
    path: str = Field("", max_length=4096)
    status: int
    refusal: str = Field("", max_length=100)
    code: str = Field("", max_length=40)
    api: str = Field("", max_length=100)
    application: str = Field("", max_length=200)
    client: str = Field("", max_length=100)
    termination: str = Field("", max_length=10)
    milliseconds: int = 0
    backend_milliseconds: int = -1
    steps: list[StepBody] = Field(max_length=60)
    advice: str = Field("", max_length=1000)


class ExplanationsBody(BaseModel):
    """What a node tells at once."""

    model_config = ConfigDict(extra="forbid")

    explanations: list[ExplanationBody] = Field(max_length=500)


class CheckDocument(TypedDict):
    """One check."""

    check: str
    compared: str
    outcome: Literal["passed", "failed"]
    reason: NotRequired[str]


class ExplanationDocument(TypedDict):
    """Why a request was refused; a node says more of it than a worker."""

    request_id: str
    organization: str
    at: float
    method: str
    path: str
    status: int
    refusal: str
    client: str
    steps: list[CheckDocument]
    advice: str
    node: NotRequired[str]
    trace_id: NotRequired[str]
    code: NotRequired[str]
    api: NotRequired[str]
    application: NotRequired[str]
    termination: NotRequired[str]
    milliseconds: NotRequired[int]
    backend_milliseconds: NotRequired[int]


def routers(database: Database, clock: Clock) -> tuple[GuardedRouter, ...]:
    """Route both sides."""
    return _told(database, clock), _read(database)


def _told(database: Database, clock: Clock) -> GuardedRouter:
    guarded = GuardedRouter("/internal/gateway/v1", per_organization=False)

    @guarded.post("/explanations", access=GATEWAY_NODE, include_in_schema=False)
    async def tell(request: Request, body: ExplanationsBody) -> NoContent:
        """Keep why calls were refused at the node."""
        told = [one.model_dump(exclude_none=True) for one in body.explanations]
        await database.write(lambda connection: note_explanations(connection, told, clock()))
        return NoContent()

    return guarded


def _read(database: Database) -> GuardedRouter:
    guarded = GuardedRouter("/api/server/v1", tags=["Server"])

    @guarded.get("/explanations/{request_id}", access=_ACCESS)
    async def explanation(request: Request, request_id: str) -> Shown[ExplanationDocument]:
        """Tell why a request of the organization was refused: each check in order, and what to do."""
        here = None if principal(request).is_local else organization(request).id
        try:
            found = await database.read(lambda connection: find_explanation(connection, here, request_id))
        except UnknownExplanation as error:
            text = "nothing is known of this request: only refused and failed ones are kept, and not for long"
            raise Problem(404, "404", "Not Found", text) from error
        return Shown(cast(ExplanationDocument, found))

    return guarded
