"""Which internal scopes somebody may have now, and what asking for `SYSTEM` means."""

from collections.abc import Iterable

from ostiary.permissions.internal_scopes import BINDINGS, LOGIN, SYSTEM
from ostiary.permissions.tree import Permissions, holds_all


def internal_scopes_of(permissions: Permissions, wanted: Iterable[str], *, is_user: bool) -> frozenset[str]:
    """Those of the wanted scopes whose bound permissions are all held; `internal_login` is every user's."""
    return frozenset(
        scope
        for scope in wanted
        if (scope == LOGIN and is_user) or (scope in BINDINGS and holds_all(permissions, BINDINGS[scope]))
    )


def asked_for(requested: Iterable[str]) -> frozenset[str]:
    """What a request means: `SYSTEM` is every internal scope there is."""
    wanted = frozenset(requested)
    return (wanted - {SYSTEM}) | BINDINGS.keys() | {LOGIN} if SYSTEM in wanted else wanted
