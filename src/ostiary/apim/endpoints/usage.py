"""The internal REST API of usage: /api/apim/v1/usage."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, NotRequired, cast

from fastapi import Query
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.apim.endpoints.access import USAGE as MAY
from ostiary.apim.endpoints.paging import Limit, Offset
from ostiary.apim.endpoints.problems import problems
from ostiary.apim.endpoints.times import Moment
from ostiary.apim.repository.usage import UsageQuery
from ostiary.apim.usage import UsageRow, hour_of, read_usage
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.permissions import GuardedRouter, organization

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
Id = Annotated[str | None, Query(pattern="^[!-~]{1,36}$")]


class UsageDocument(TypedDict):
    """A sum of calls; of `by` what was asked for."""

    calls: int
    bytes: int
    api_id: NotRequired[str | None]
    application_id: NotRequired[str | None]
    subscription_id: NotRequired[str | None]
    hour: NotRequired[str]
    day: NotRequired[str]


UsagePage = TypedDict(
    "UsagePage", {"from": str, "to": str, "total": int, "offset": int, "items": list[UsageDocument]}
)


def router(database: Database, clock: Clock) -> GuardedRouter:
    """Read what was called."""
    guarded = GuardedRouter("/api/apim/v1/usage", tags=["Usage"])

    @guarded.get("", access=MAY["view"])
    async def read(
        request: Request,
        since: Annotated[Moment | None, Query(alias="from")] = None,
        until: Annotated[Moment | None, Query(alias="to")] = None,
        by: Annotated[str, Query(max_length=100)] = "api",
        api_id: Id = None,
        application_id: Id = None,
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> UsagePage:
        """The organization's calls that were let through, in whole hours of UTC.

        `from` and `to` are times (ISO 8601; UTC unless they say otherwise), the last 24 hours where omitted.
        `by` is what the sums are split by: some of `api`, `application`, `subscription`, and `hour` or `day`,
        with commas between. An identifier that is null stands for callers who need none, or for what is gone.
        """
        here = organization(request).id
        with problems():
            query = _query(since, until, by, clock(), api_id, application_id, limit, offset)
            rows, total = await database.read(lambda c: read_usage(c, here, query))
        return {
            "from": _time(query.from_hour),
            "to": _time(query.to_hour),
            "total": total,
            "offset": offset,
            "items": [_present(row) for row in rows],
        }

    return guarded


def _query(
    since: datetime | None,
    until: datetime | None,
    by: str,
    now: datetime,
    api_id: str | None,
    application_id: str | None,
    limit: int,
    offset: int,
) -> UsageQuery:
    """Whole hours: the one `from` is in is the first, the one `to` is in the last unless it begins there."""
    end = _aware(until) if until else now
    begin = _aware(since) if since else end - _DAY
    last = hour_of(end + _HOUR - timedelta(microseconds=1))
    names = tuple(name.strip() for name in by.split(",") if name.strip())
    return UsageQuery(hour_of(begin), last, names, api_id, application_id, limit, offset)


def _aware(moment: datetime) -> datetime:
    """UTC, a day inside what a calendar can express."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(aware, datetime(1970, 1, 2, tzinfo=UTC)), datetime(9998, 1, 1, tzinfo=UTC))


def _present(row: UsageRow) -> UsageDocument:
    shown = {
        name: _time(value) if name in ("hour", "day") else value or None for name, value in row.of.items()
    }
    return cast(UsageDocument, {**shown, "calls": row.calls, "bytes": row.bytes})


def _time(hour: int) -> str:
    return datetime.fromtimestamp(hour * 3600, UTC).isoformat().replace("+00:00", "Z")
