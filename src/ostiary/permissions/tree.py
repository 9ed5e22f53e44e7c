"""The permission tree: a node covers its descendants, and only known nodes exist.

Permissions are given, never denied, so what somebody may do is a union and its order says nothing.
"""

from collections.abc import Iterable, Iterator

from ostiary.permissions.internal_scopes import BINDINGS

PERMISSION = "/permission"
ADMIN = "/permission/admin"
PROTECTED = "/permission/protected"
"""The installation's own operations; roles of the organization `default` alone have them."""

Permissions = frozenset[str]


def _ancestors_and_self(permission: str) -> Iterator[str]:
    end = len(permission)
    while end > 0:
        yield permission[:end]
        end = permission.rfind("/", 0, end)


def _known() -> Iterator[str]:
    for permission in (ADMIN, PROTECTED, *(node for nodes in BINDINGS.values() for node in nodes)):
        yield from _ancestors_and_self(permission)


NODES = frozenset(_known()) - {PERMISSION}
"""Every node there is; a role has permissions of these alone."""


def holds(held: Permissions, permission: str) -> bool:
    """Whether `permission` or an ancestor of it is among what is held."""
    return any(node in held for node in _ancestors_and_self(permission))


def holds_all(held: Permissions, wanted: Iterable[str]) -> bool:
    """Whether everything wanted is held."""
    return all(holds(held, permission) for permission in wanted)


def not_held(held: Permissions, wanted: Iterable[str]) -> list[str]:
    """What is wanted and not held, in order."""
    return sorted(permission for permission in set(wanted) if not holds(held, permission))
