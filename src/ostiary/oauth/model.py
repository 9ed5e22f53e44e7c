"""Clients, scopes and tokens as values, with the rules that need nothing else (RFC 6749 §2, §3.3)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import SecretStr

from ostiary.identity import PRIMARY, display_name
from ostiary.organizations import Organization, issuer_of
from ostiary.permissions import SYSTEM, asked_for, is_internal

Scope = frozenset[str]
DEFAULT_SCOPE = "default"
RESERVED_SCOPES = frozenset({DEFAULT_SCOPE, SYSTEM, "openid"})
INTERNAL_PREFIX = "internal_"

_NOT_TEXT = re.compile(r"[\x00-\x1F\x7F\uD800-\uDFFF]")
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,200}")


class GrantType(StrEnum):
    """The grants there are (RFC 6749 §4, §6; RFC 7522 §2.1)."""

    PASSWORD = "password"  # noqa: S105
    CLIENT_CREDENTIALS = "client_credentials"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105
    SAML2_BEARER = "urn:ietf:params:oauth:grant-type:saml2-bearer"


class TokenFormat(StrEnum):
    """How a client's access tokens look."""

    JWT = "jwt"
    OPAQUE = "opaque"


class Validity(StrEnum):
    """What a client may say with `validity_period`."""

    FIXED = "fixed"
    BOUNDED = "bounded"
    UNLIMITED = "unlimited"


class KeyState(StrEnum):
    """A signing key's life: published, then signing, then published until its last token is over."""

    ANNOUNCED = "announced"
    ACTIVE = "active"
    RETIRING = "retiring"


class TokenHolder(StrEnum):
    """Whom an access token speaks for, as the claim `aut`."""

    APPLICATION = "APPLICATION"
    APPLICATION_USER = "APPLICATION_USER"


@dataclass(frozen=True, slots=True)
class Client:
    """Software registered to ask for tokens (RFC 6749 §2). `client_id` is unique in the installation."""

    client_id: str
    organization_id: str
    name: str
    secret_fingerprint: str | None = field(repr=False)
    grant_types: frozenset[str]
    token_format: TokenFormat
    scopes: Scope | None  # None: every scope of the organization
    default_scope: Scope
    strict_scopes: bool
    internal_scopes: bool
    is_public: bool
    is_disabled: bool
    access_token_lifetime: timedelta | None  # None: the setting
    refresh_token_lifetime: timedelta | None  # None: the setting
    validity: Validity
    user_stores: tuple[str, ...] | None  # None: the organization's chain

    def asks(self, store: str) -> bool:
        """Whether people of that user store may log in through the client."""
        return self.user_stores is None or store in self.user_stores


@dataclass(frozen=True, slots=True)
class ClientSpec:
    """What an administrator says about a client.

    Without `client_id` one is made; a confidential client without `secret` gets one, shown once.
    """

    client_id: str | None = None
    name: str = ""
    secret: SecretStr | None = None
    grant_types: frozenset[str] = frozenset()
    token_format: TokenFormat = TokenFormat.JWT
    scopes: Scope | None = None
    default_scope: Scope = frozenset()
    strict_scopes: bool = False
    internal_scopes: bool = False
    is_public: bool = False
    is_disabled: bool = False
    access_token_lifetime: timedelta | None = None
    refresh_token_lifetime: timedelta | None = None
    validity: Validity = Validity.FIXED
    user_stores: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ScopeSpec:
    """A registered API scope: who may have it is said by role names or, in so many words, `everyone`.

    No roles and not `everyone` means nobody.
    """

    name: str
    description: str = ""
    roles: frozenset[str] = field(default_factory=frozenset)
    everyone: bool = False
    display_name: str = ""  # empty: the name


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What an access token says, whatever its format (RFC 9068 §2.2)."""

    token_id: str
    organization: Organization
    client_id: str
    holder: TokenHolder
    subject: str  # the user's id; the client id when the client acts for itself
    scope: Scope
    issued_at: datetime
    expires_at: datetime
    epoch: int
    store: str | None = None
    username: str | None = None
    family: str | None = None

    def as_wire(self, public_url: str) -> dict[str, Any]:
        """The claims by their wire names; `iss` and `aud` follow from the organization."""
        issuer = issuer_of(public_url, self.organization)
        claims: dict[str, Any] = {
            "iss": issuer,
            "aud": audience_of(issuer, self.scope),
            "sub": self.subject,
            "client_id": self.client_id,
            "scope": scope_text(self.scope),
            "iat": int(self.issued_at.timestamp()),
            "exp": int(self.expires_at.timestamp()),
            "jti": self.token_id,
            "aut": str(self.holder),
            "org": self.organization.name,
            "epoch": self.epoch,
        }
        own = {"store": self.store, "username": self.username, "family": self.family}
        return claims | {name: value for name, value in own.items() if value is not None}

    def display_name(self) -> str | None:
        """`[STORE/]name@organization`, as a person is written everywhere; None for a client."""
        if self.username is None:
            return None
        return display_name(self.store or PRIMARY, self.username, self.organization.name)


def audience_of(issuer: str, scope: Scope) -> str | list[str]:
    """The resource servers an access token is for: the gateway, and management only with its scopes."""
    gateway = f"{issuer}/gateway"
    management = any(is_reserved(value) and value != DEFAULT_SCOPE for value in scope)
    return [gateway, f"{issuer}/management"] if management else gateway


def is_reserved(value: str) -> bool:
    """Whether no organization may register this scope."""
    return value in RESERVED_SCOPES or value.startswith(INTERNAL_PREFIX)


def is_scope_token(value: str) -> bool:
    """Whether `value` is one scope-token (RFC 6749 §3.3) of a length we serve."""
    return _SCOPE_TOKEN.fullmatch(value) is not None


def is_text(value: str, longest: int) -> bool:
    """Whether `value` can be shown and stored: no control characters, no half of a surrogate pair."""
    return len(value) <= longest and not _NOT_TEXT.search(value)


def scope_text(scope: Scope) -> str:
    """The space-separated form of the wire, in a stable order."""
    return " ".join(sorted(scope))


def grant_scope(requested: Scope | None, client: Client, entitled: Scope) -> Scope:
    """Decide a scope (RFC 6749 §3.3).

    `entitled` holds what the user (or the client acting for itself) may have now: registered API scopes and
    internal ones. Omitted means the client's default, `SYSTEM` every internal scope; what may not be had is
    dropped; nothing left means the literal `default`. No other reserved value is ever granted.
    """
    wanted = asked_for(client.default_scope if requested is None else requested)
    allowed = entitled if client.scopes is None else entitled & asked_for(client.scopes)
    granted = frozenset(
        value
        for value in wanted & allowed
        if not is_reserved(value) or (client.internal_scopes and is_internal(value))
    )
    return granted or frozenset({DEFAULT_SCOPE})


def narrow_scope(original: Scope, requested: Scope | None) -> Scope:
    """What a refresh may ask for: the original grant or a part of it, never more (RFC 6749 §6)."""
    return original if requested is None else requested & original


def entitled_scopes(registered: Mapping[str, ScopeSpec], roles: frozenset[str]) -> Scope:
    """The registered scopes that somebody with these roles may have. No binding means nobody."""
    return frozenset(
        name for name, scope in registered.items() if scope.everyone or not scope.roles.isdisjoint(roles)
    )
