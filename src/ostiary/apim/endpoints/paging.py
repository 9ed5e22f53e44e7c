"""Lists in parts: `limit` and `offset`."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query

Limit = Annotated[int, Query(ge=1, le=1_000)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
Item = TypeVar("Item")


def page(
    items: Sequence[Item], limit: int, offset: int, present: Callable[[Item], dict[str, Any]]
) -> dict[str, Any]:
    """One part of a list, and how long the whole is."""
    chosen = items[offset : offset + limit]
    return {"total": len(items), "offset": offset, "items": [present(item) for item in chosen]}
