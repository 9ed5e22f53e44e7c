"""How much one apply may hold. It is one transaction, and on SQLite nobody else writes meanwhile.

Entries are what becomes rows of its own; values are everything else there is to read and compare.
The values are ours, not a setting: who has more applies it in parts, since what a file does not
mention stays as it is.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from ostiary.declarative.complaints import Complaint, Path, Refused
from ostiary.declarative.plan import Change, Detail

MOST_ENTRIES = 1_000
MOST_CHANGES = 1_200
MOST_VALUES = 40 * MOST_ENTRIES
MOST_COMPLAINTS = 100

_THINGS = {"user_stores", "users", "roles", "scopes", "plans", "apis", "applications", "deny"}
_LISTS = _THINGS | {"subscriptions", "groups", "clients"}
_MEMBERS = {"users", "groups", "clients", "roles"}
_CLIENTS = frozenset(("production", "sandbox"))
_ONE_ROW = frozenset(("cors", "resources", "openapi", "request", "response", "claims", "backend"))
_EXPECTED = (
    f"at most {MOST_ENTRIES:,} entries in one apply (things, members and subscriptions of all documents); "
    "apply it in parts, what a file does not mention stays as it is"
)


def refuse_too_much(documents: list[dict[str, Any]]) -> None:
    """Refuse unread documents that hold more than one apply may; stops counting there.

    Raises:
        Refused: names the part of the document in which the limit is passed.
    """
    entries = values = 0
    for path, is_entry in _walk(documents):
        entries, values = entries + is_entry, values + 1
        if entries > MOST_ENTRIES:
            raise Refused([Complaint(path, f"entry {MOST_ENTRIES + 1:,}", _EXPECTED)])
        if values > MOST_VALUES:
            expected = f"at most {MOST_VALUES:,} values in one apply; apply it in parts"
            raise Refused([Complaint(path, f"value {MOST_VALUES + 1:,}", expected)])


def refuse_too_many_changes(position: int, changes: Iterable[Change], before: int) -> int:
    """Count changes with the members they move, beginning at `before`: a short file can remove much.

    Raises:
        Refused: they are more than one apply may make.
    """
    for change in changes:
        before += 1 + sum(map(_moved, change.details))
        if before > MOST_CHANGES:
            expected = f"at most {MOST_CHANGES:,} changes in one apply; apply it in parts"
            found = f"change {MOST_CHANGES + 1:,} (at the {change.kind} {change.name})"
            raise Refused([Complaint(("documents", position), found, expected)])
    return before


def _walk(documents: list[dict[str, Any]]) -> Iterator[tuple[Path, bool]]:
    """Everything in the documents, each with the part it is in and whether it is an entry."""
    for position, document in enumerate(documents):
        for part, content in document.items():
            path: Path = ("documents", position, part)
            for is_entry in _within(part, content):
                yield path, is_entry


def _within(key: str, content: Any) -> Iterator[bool]:
    waiting: list[tuple[str, Any]] = [(key, content)]
    while waiting:
        key, value = waiting.pop()
        yield key in _CLIENTS and isinstance(value, dict)
        if isinstance(value, dict):
            waiting += [(key if key in _ONE_ROW else inner, one) for inner, one in value.items()]
        elif isinstance(value, list):
            for one in value:
                if key in _LISTS:
                    yield True
                waiting.append((key if key in _ONE_ROW else "", one))


def _moved(detail: Detail) -> int:
    is_list = detail.attribute in _MEMBERS and isinstance(detail.after, list)
    return len(set(detail.before or ()) ^ set(detail.after)) if is_list else 0
