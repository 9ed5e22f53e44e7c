"""Lists in parts: `limit` and `offset`."""

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from typing_extensions import TypedDict

Limit = Annotated[int, Query(ge=1, le=1_000)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
Item = TypeVar("Item")
Document = TypeVar("Document")


class Page(TypedDict, Generic[Document]):
    """One part of a list; `total` is how long the whole is."""

    total: int
    offset: int
    items: list[Document]


def page(
    items: Sequence[Item], limit: int, offset: int, present: Callable[[Item], Document]
) -> Page[Document]:
    """Cut one part out of a list."""
    chosen = items[offset : offset + limit]
    return {"total": len(items), "offset": offset, "items": [present(item) for item in chosen]}
