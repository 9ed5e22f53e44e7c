"""`POST /internal/gateway/v1/counts`: a node says what it counted against limits, and hears of the others."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.gateway.counts import note_counts, others_counts
from ostiary.permissions import GATEWAY_NODE, GuardedRouter, principal

_LARGEST: Final = 2**53 - 1
Key = Annotated[str, Field(pattern=r"^[!-~]{1,120}$")]
Window = Annotated[str, Field(pattern=r"^[0-9]{1,12}$")]


class CountsBody(BaseModel):
    """What a node counted in the windows that are open; `counts` is null where that has not changed."""

    model_config = ConfigDict(extra="forbid")

    windows: list[Window] = Field(max_length=10)
    counts: dict[Key, Annotated[int, Field(ge=0, le=_LARGEST, strict=True)]] | None = Field(max_length=20_000)


def router(database: Database, clock: Clock) -> GuardedRouter:
    """Route the exchange."""
    guarded = GuardedRouter("/internal/gateway/v1", per_organization=False)

    @guarded.post("/counts", access=GATEWAY_NODE, include_in_schema=False)
    async def exchange(request: Request, body: CountsBody) -> dict[str, Any]:
        """Take a node's counts; answer with the sums of the others and how many nodes there are."""
        node_id, now, counts = principal(request).name, clock(), body.counts
        if counts is not None:
            await database.write(lambda connection: note_counts(connection, node_id, counts, now))
        heard = await database.read(lambda c: others_counts(c, node_id, body.windows, now))
        return {"nodes": heard.nodes, "counts": dict(heard.counts)}

    return guarded
