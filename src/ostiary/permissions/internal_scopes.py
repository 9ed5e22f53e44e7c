"""Internal scopes: which permissions each stands for.

A token carries `internal_<noun>_<verb>` when its user holds every permission bound to it. A scope that is
not here is bound to nothing, and nobody gets it; a route that asks for one cannot be registered.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

SYSTEM = "SYSTEM"
"""Asked for: every internal scope that one qualifies for. Never granted under this name."""
LOGIN = "internal_login"
"""Of every user and of no client that acts for itself; bound to no permission."""

_IDENTITY = "/permission/admin/manage/identity"
_API = "/permission/admin/manage/api"
_PROTECTED = "/permission/protected/manage"
_CRUD = ("create", "view", "update", "delete")

_FAMILIES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("internal_application_mgt", f"{_IDENTITY}/applicationmgt", _CRUD),
    ("internal_identity_mgt", f"{_IDENTITY}/identitymgt", _CRUD),
    ("internal_challenge_questions", f"{_IDENTITY}/challenge", _CRUD),
    ("internal_keystore", f"{_IDENTITY}/keystoremgt", ("view", "update")),
    ("internal_oauth_scope_mgt", f"{_IDENTITY}/oauthscopemgt", ("view", "update", "delete")),
    ("internal_role_mgt", f"{_IDENTITY}/rolemgt", _CRUD),
    ("internal_lock", f"{_IDENTITY}/authentication/lock", ("view", "delete")),
    ("internal_session", f"{_IDENTITY}/authentication/session", ("view", "delete")),
    ("internal_user_mgt", f"{_IDENTITY}/usermgt", ("list", *_CRUD)),
    ("internal_userstore", f"{_IDENTITY}/userstore/config", _CRUD),
    ("internal_gateway_node", f"{_PROTECTED}/gateway_nodes", ("view", "create", "delete")),
    ("internal_api", _API, (*_CRUD, "publish")),
    ("internal_api_plan", f"{_API}/plan", _CRUD),
    ("internal_api_application", f"{_API}/application", _CRUD),
    ("internal_api_deny", f"{_API}/deny", _CRUD),
    ("internal_api_subscription", f"{_API}/subscription", _CRUD),
    ("internal_api_usage", f"{_API}/usage", ("view",)),
)
_SINGLES: tuple[tuple[str, str], ...] = (
    ("internal_organization_apply", "/permission/admin"),
    ("internal_audit_view", "/permission/admin/monitor/audit"),
    ("internal_log_view", "/permission/admin/monitor/logging"),
    ("internal_list_tenants", f"{_PROTECTED}/monitor/tenants/list"),
    ("internal_modify_tenants", f"{_PROTECTED}/modify/tenants"),
)


def _rows() -> Iterator[tuple[str, frozenset[str]]]:
    for noun, node, verbs in _FAMILIES:
        for verb in verbs:
            yield f"{noun}_{verb}", frozenset({f"{node}/{verb}"})
    for name, permission in _SINGLES:
        yield name, frozenset({permission})


BINDINGS: Mapping[str, frozenset[str]] = MappingProxyType(dict(_rows()))
"""Internal scope → the permissions it takes, all of them."""


def is_internal(scope: str) -> bool:
    """Whether the scope is one that is granted by permissions."""
    return scope in BINDINGS or scope == LOGIN
