"""Access: what a route says about who may use it (ADR 0007).

`router` takes it, `guard` decides by it. The OpenAPI `security` and the text of a 403 come from the
same declaration.
"""

from dataclasses import dataclass, field
from enum import Enum


class Audience(Enum):
    """Whom a route is for."""

    ANYBODY = "anybody"
    AUTHENTICATED = "any authenticated user or client"
    PERMITTED = "holders of a permission"
    GATEWAY_NODE = "an enrolled gateway node"
    NEW_GATEWAY_NODE = "whoever reaches the node listener"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a route: an audience and, for `PERMITTED`, the permission and the scopes it takes."""

    audience: Audience
    permission: str | None = None
    scopes: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        return self.audience.value if self.permission is None else f"the permission {self.permission}"


OPEN = Access(Audience.ANYBODY)
"""Anybody may call; the endpoint authenticates clients itself where its protocol says so."""
AUTHENTICATED = Access(Audience.AUTHENTICATED)
GATEWAY_NODE = Access(Audience.GATEWAY_NODE)
NEW_GATEWAY_NODE = Access(Audience.NEW_GATEWAY_NODE)
"""For a node that enrols: it has a one-time token, which the endpoint checks, and no certificate yet."""


def needs(permission: str, *scopes: str) -> Access:
    """Access for who holds `permission`; with a token, all of `scopes` are needed too."""
    if not permission.startswith("/permission/") or "//" in permission or permission.endswith("/"):
        raise ValueError(f"not a permission: {permission!r}")
    return Access(Audience.PERMITTED, permission, frozenset(scopes))
