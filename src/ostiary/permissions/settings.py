"""Settings of the guard of internal REST APIs."""

import re
from typing import Annotated

from pydantic import Field, field_validator

from ostiary.foundation.settings import Section
from ostiary.permissions.internal_scopes import is_internal
from ostiary.permissions.tree import NODES

_OPERATION = re.compile(r"(GET|HEAD|POST|PUT|PATCH|DELETE) /\S*")


class AccessOverride(Section):
    """More that one operation takes, besides what it declares. Nothing can be made easier."""

    operation: str
    """Method and path, as the reference of endpoints lists them: `GET /api/users/v1/{user_id}/challenges`."""
    permissions: tuple[str, ...] = ()
    """Permissions to hold as well."""
    scopes: tuple[str, ...] = ()
    """Internal scopes that a token needs as well."""

    @field_validator("operation")
    @classmethod
    def _named(cls, value: str) -> str:
        if not _OPERATION.fullmatch(value):
            raise ValueError("expected a method and a path, such as `GET /api/oauth/v1/clients`")
        return value

    @field_validator("permissions")
    @classmethod
    def _nodes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [node for node in value if node not in NODES]:
            raise ValueError(f"expected nodes of the permission tree, found {unknown[0]!r}")
        return value

    @field_validator("scopes")
    @classmethod
    def _internal(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [scope for scope in value if not is_internal(scope)]:
            raise ValueError(f"expected internal scopes, found {unknown[0]!r}")
        return value


class AccessSettings(Section):
    """Who passes to the internal REST APIs, and how they prove themselves."""

    basic_authentication: bool = False
    """Whether a user name and password are taken in place of a token (RFC 7617)."""
    overrides: Annotated[tuple[AccessOverride, ...], Field(max_length=1_000)] = ()
    """Operations that take more here than they declare."""
