"""Limits in the internal REST API: `{"requests": 5, "per": "minute"}`, some of them by name."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StrictInt
from typing_extensions import TypedDict

from ostiary.apim.limits import NAMED, Limit, Period


class LimitBody(BaseModel):
    """So many requests in each window."""

    model_config = ConfigDict(extra="forbid")

    requests: StrictInt
    per: Period

    def limit(self) -> Limit:
        """As the use cases take it."""
        return Limit(self.requests, self.per)


class LimitDocument(TypedDict):
    """So many requests in each window."""

    requests: int
    per: Period


LimitName = Literal["10KPerMin", "20KPerMin", "50KPerMin", "Unlimited"]
SharedLimit = Annotated[LimitBody | LimitName | None, "of all callers together"]


def read_limit(said: LimitBody | str | None) -> Limit | None:
    """A limit that all callers share, by number or name."""
    if isinstance(said, LimitBody):
        return said.limit()
    return None if said is None else NAMED[said]


def present_limit(limit: Limit | None) -> LimitDocument | None:
    """A limit as JSON."""
    return None if limit is None else {"requests": limit.requests, "per": limit.per}
