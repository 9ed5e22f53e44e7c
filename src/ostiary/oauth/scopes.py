"""Register API scopes, and say which of them somebody may have now (RFC 6749 §3.3, design of scopes).

The rule itself is `model.grant_scope`; this module fetches what it needs.
"""

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection

from ostiary.foundation import audit
from ostiary.oauth.errors import BadField, UnknownScope
from ostiary.oauth.model import (
    Client,
    Scope,
    ScopeSpec,
    entitled_scopes,
    is_reserved,
    is_scope_token,
    is_text,
)
from ostiary.oauth.repository import scopes as repository
from ostiary.organizations import narrow
from ostiary.permissions import Member, holdings_of, internal_scopes_of, is_internal

_MOST_REQUESTED = 100
_LONGEST_REQUEST = 4_000


def put_scope(connection: Connection, organization_id: str, spec: ScopeSpec) -> bool:
    """Register a scope or change it; False where it already is what `spec` says.

    Taking a role (or everyone) away narrows the scope: tokens that carry it are refused.

    Raises:
        BadField: `spec` is wrong; names the field and what was expected.
    """
    check_spec(spec)
    found = repository.named(connection, organization_id, [spec.name]).get(spec.name)
    if found == spec:
        return False
    repository.put(connection, organization_id, spec)
    audit.note(connection, organization_id, "scope", spec.name, found, spec)
    if found is not None and is_narrower(found, spec):
        narrow(connection, organization_id, "scope", spec.name)
    return True


def add_scope(connection: Connection, organization_id: str, spec: ScopeSpec) -> bool:
    """Register a scope; False where the organization has one of that name, which stays as it is.

    Raises:
        BadField: `spec` is wrong; names the field and what was expected.
    """
    check_spec(spec)
    is_new = repository.add(connection, organization_id, spec)
    if is_new:
        audit.note(connection, organization_id, "scope", spec.name, None, spec)
    return is_new


def find_scope(connection: Connection, organization_id: str, name: str) -> ScopeSpec:
    """The organization's scope of that name; any text may be asked about.

    Raises:
        UnknownScope: the organization has none of that name.
    """
    found = repository.named(connection, organization_id, [name]).get(name) if is_scope_token(name) else None
    if found is None:
        raise UnknownScope(name)
    return found


def list_scopes(connection: Connection, organization_id: str) -> list[ScopeSpec]:
    """The organization's registered scopes, by name."""
    return list(repository.all_of(connection, organization_id).values())


def registered_scopes(connection: Connection, organization_id: str, names: Iterable[str]) -> frozenset[str]:
    """Those of the names that are scopes of the organization."""
    return frozenset(repository.named(connection, organization_id, names))


def delete_scope(connection: Connection, organization_id: str, name: str) -> None:
    """Remove a scope; tokens that carry it are refused.

    Raises:
        UnknownScope: the organization has none of that name.
    """
    found = find_scope(connection, organization_id, name)
    if not repository.remove(connection, organization_id, name):
        raise UnknownScope(name)
    audit.note(connection, organization_id, "scope", name, found, None)
    narrow(connection, organization_id, "scope", name)


def entitled_to(connection: Connection, client: Client, wanted: Scope, member: Member) -> Scope:
    """Those of the wanted scopes that `member` may have now through this client.

    API scopes are registered and given by roles; internal ones follow from permissions, and only clients
    marked `internal_scopes` get any. Takes a write transaction, because a role's name is pinned to the
    user it first matches.
    """
    named = [value for value in wanted if not is_reserved(value)]
    registered = repository.named(connection, client.organization_id, named) if named else {}
    internal = frozenset(filter(is_internal, wanted)) if client.internal_scopes else frozenset()
    if not registered and not internal:
        return frozenset()
    held = holdings_of(connection, client.organization_id, member)
    is_user = member.client_id is None
    return entitled_scopes(registered, held.roles) | internal_scopes_of(
        held.permissions, internal, is_user=is_user
    )


def parse_scope(text: str | None) -> Scope | None:
    """The scope of a request; None where it was omitted.

    Raises:
        ValueError: malformed (RFC 6749 §3.3) or longer than any honest request.
    """
    if text is None:
        return None
    values = [value for value in text.split(" ") if value]
    if len(text) > _LONGEST_REQUEST or len(values) > _MOST_REQUESTED or not all(map(is_scope_token, values)):
        raise ValueError("scope must be at most 100 names of visible ASCII characters, separated by spaces")
    return frozenset(values)


def check_spec(spec: ScopeSpec) -> None:
    """Refuse a scope that must not exist.

    Raises:
        BadField: names the first wrong field and what was expected.
    """
    for field, is_good, expected in _rules(spec):
        if not is_good:
            raise BadField(field, expected)


def is_narrower(old: ScopeSpec, new: ScopeSpec) -> bool:
    """Whether somebody who could have `old` may be refused `new`."""
    return not new.everyone and (old.everyone or not old.roles <= new.roles)


def _rules(spec: ScopeSpec) -> Iterator[tuple[str, bool, str]]:
    yield (
        "name",
        is_scope_token(spec.name),
        "1 to 200 visible ASCII characters without space, quote or backslash (RFC 6749 §3.3)",
    )
    yield "name", not is_reserved(spec.name), "not default, SYSTEM, openid or internal_…, which are reserved"
    yield "description", is_text(spec.description, 1_000), "at most 1000 printable characters"
    yield "display_name", is_text(spec.display_name, 255), "at most 255 printable characters"
    yield "roles", not (spec.everyone and spec.roles), "either roles or everyone, not both"
    are_names = all(role and is_text(role, 100) for role in spec.roles)
    yield "roles", are_names, "names of 1 to 100 printable characters"
