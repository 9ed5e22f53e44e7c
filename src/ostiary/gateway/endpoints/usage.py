"""`POST /internal/gateway/v1/usage`: a node says what it let through."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from ostiary import apim
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem
from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.usage import Report, take_report
from ostiary.permissions import GATEWAY_NODE, GuardedRouter, principal

_log = get_logger(__name__)
_LARGEST: Final = 2**53 - 1
_HOURS_AHEAD: Final = 24
Id = Annotated[str, Field(pattern="^[!-~]{1,36}$")]
Number = Annotated[int, Field(ge=0, le=_LARGEST, strict=True)]


class UsageBody(BaseModel):
    """The calls of an hour for an API, an application and a subscription."""

    model_config = ConfigDict(extra="forbid")

    hour: Number
    api_id: Id
    application_id: Id | None
    subscription_id: Id | None
    calls: Number
    bytes: Number


class ReportBody(BaseModel):
    """One numbered part of what a node has counted."""

    model_config = ConfigDict(extra="forbid")

    stream: Id
    sequence: Annotated[int, Field(ge=1, le=_LARGEST, strict=True)]
    usage: list[UsageBody] = Field(max_length=1_000)


def router(database: Database, clock: Clock) -> GuardedRouter:
    """Route the reports."""
    guarded = GuardedRouter("/internal/gateway/v1", per_organization=False)

    @guarded.post("/usage", access=GATEWAY_NODE, include_in_schema=False)
    async def report(request: Request, body: ReportBody) -> dict[str, Any]:
        """Count what a node let through; the same number again changes nothing."""
        node_id, report = principal(request).name, _read(body, clock())
        taken = await database.write(lambda connection: take_report(connection, node_id, report))
        if taken.unknown:
            _log.warning("usage_of_unknown_things", node_id=node_id, rows=taken.unknown)
        return asdict(taken)

    return guarded


def _read(body: ReportBody, now: datetime) -> Report:
    latest = int(now.timestamp()) // 3600 + _HOURS_AHEAD
    for place, row in enumerate(body.usage):
        if row.hour > latest:
            text = f"usage.{place}.hour: an hour that has begun was expected, counted since 1970"
            raise Problem(400, "400", "Bad Request", text)
    return Report(
        body.stream,
        body.sequence,
        [
            apim.Used(
                row.hour,
                row.api_id,
                row.application_id or "",
                row.subscription_id or "",
                row.calls,
                row.bytes,
            )
            for row in body.usage
        ],
    )
