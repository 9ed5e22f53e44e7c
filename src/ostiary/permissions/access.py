"""Access: what a route says about who may use it (ADR 0007).

`router` takes it, `guard` decides by it. The OpenAPI `security` and the text of a 403 come from the
same declaration.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from ostiary.permissions.internal_scopes import BINDINGS, LOGIN


class Audience(Enum):
    """Whom a route is for."""

    ANYBODY = "anybody"
    USER = "any user, about themselves"
    PERMITTED = "holders of a permission"
    GATEWAY_NODE = "an enrolled gateway node"
    NEW_GATEWAY_NODE = "whoever reaches the node listener"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a route: an audience; for `PERMITTED`, the permissions it takes, all of them; and the
    scopes that a token needs, all of them.
    """

    audience: Audience
    permissions: frozenset[str] = field(default_factory=frozenset)
    scopes: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        if not self.permissions:
            return self.audience.value
        return f"the permission {_listed(self.permissions)}"

    def tightened(self, permissions: Iterable[str], scopes: Iterable[str]) -> "Access":
        """The same with more to have; nothing that it takes can be taken off."""
        return Access(self.audience, self.permissions | set(permissions), self.scopes | set(scopes))


OPEN = Access(Audience.ANYBODY)
"""Anybody may call; the endpoint authenticates clients itself where its protocol says so."""
LOGGED_IN = Access(Audience.USER, scopes=frozenset({LOGIN}))
"""For a user about themselves; a client that acts for itself and the local administrator have no self."""
GATEWAY_NODE = Access(Audience.GATEWAY_NODE)
NEW_GATEWAY_NODE = Access(Audience.NEW_GATEWAY_NODE)
"""For a node that enrols: it has a one-time token, which the endpoint checks, and no certificate yet."""


def needs(permission: str, *scopes: str) -> Access:
    """Access for who holds `permission`; with a token, all of `scopes` are needed too.

    Raises:
        ValueError: a scope is not in the table of internal scopes, or stands for another permission.
    """
    for scope in scopes:
        if permission not in BINDINGS.get(scope, ()):
            raise ValueError(
                f"the scope {scope} is not bound to {permission}: see permissions/internal_scopes.py"
            )
    if not scopes:
        raise ValueError(f"which scope stands for {permission}?")
    return Access(Audience.PERMITTED, frozenset({permission}), frozenset(scopes))


def _listed(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))
