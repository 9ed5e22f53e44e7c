"""SCIM filters that an index answers: terms joined by `and`, each an attribute and an operator of a table.

Everything else is refused and never done by reading all there is (RFC 7644 §3.4.2.2 makes filters optional).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from scim2_models import InvalidFilterException, InvalidPathException, SearchRequest
from scim2_models.path import Comparison, LogicalExpr, LogicalOperator

from ostiary.identity.user_names import is_text

Operators = Mapping[tuple[str, str], str]
"""(attribute, operator) → the term of the repository."""

USER_TERMS: Final[Operators] = {
    ("id", "eq"): "id",
    ("externalid", "eq"): "external_id",
    ("username", "eq"): "username",
    ("username", "sw"): "username_prefix",
}
ROLE_TERMS: Final[Operators] = {
    ("id", "eq"): "id",
    ("externalid", "eq"): "external_id",
    ("displayname", "eq"): "name",
    ("displayname", "sw"): "name_prefix",
    ("members", "eq"): "member",
    ("members.value", "eq"): "member",
    ("users", "eq"): "member",
    ("users.value", "eq"): "member",
}
_LAST: Final = 2**31
"""No list is longer, and databases count no further than 2**63."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked for: terms that all hold, and which part of the list in which direction."""

    terms: Mapping[str, str]
    descending: bool
    offset: int
    limit: int


def read_search(request: SearchRequest[Any], operators: Operators, sorted_by: str) -> Search:
    """The search a client asks for.

    Raises:
        InvalidFilterException: the filter has a term that no index answers; says which ones are.
        InvalidPathException: the list is in the order of `sorted_by` alone.
    """
    if (
        request.sort_by is not None
        and str(request.sort_by).rpartition(":")[2].casefold() != sorted_by.casefold()
    ):
        raise InvalidPathException(path=str(request.sort_by), detail=f"sortBy: {sorted_by} alone is served")
    terms: dict[str, str] = {}
    for attribute, operator, value in _comparisons(request, operators):
        term = operators[attribute, operator]
        if terms.setdefault(term, value) != value:
            raise _unserved(operators)
    return Search(
        terms,
        request.sort_order == SearchRequest.SortOrder.descending,
        min(request.start_index or 1, _LAST) - 1,
        request.count or 0,
    )


def _comparisons(request: SearchRequest[Any], operators: Operators) -> Iterator[tuple[str, str, str]]:
    if request.filter is None:
        return
    node = request.filter.ast
    is_all = isinstance(node, LogicalExpr) and node.op is LogicalOperator.and_
    for one in node.terms if is_all else (node,):  # type: ignore[attr-defined]
        if not isinstance(one, Comparison):
            raise _unserved(operators)
        name = (
            f"{one.attr_path.attr}.{one.attr_path.sub_attr}" if one.attr_path.sub_attr else one.attr_path.attr
        )
        if (name.casefold(), one.op.value) not in operators or not isinstance(one.value, str):
            raise _unserved(operators)
        if not is_text(one.value, 512):
            raise InvalidFilterException(detail=f"{name}: 1 to 512 characters without NUL")
        yield name.casefold(), one.op.value, one.value


def _unserved(operators: Operators) -> InvalidFilterException:
    served = ", ".join(f"{attribute} {operator}" for attribute, operator in operators)
    return InvalidFilterException(detail=f"terms joined by `and` are served, each of them one of: {served}")
