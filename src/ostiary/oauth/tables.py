"""Tables of the authorization server. Tokens are kept as fingerprints only, keys sealed."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Table,
    Text,
)

from ostiary.foundation.database import Instant, metadata

_JSON = JSON(none_as_null=True)
_FINGERPRINT = String(64)

clients = Table(
    "clients",
    metadata,
    Column("client_id", String(128), primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column("name", String(200), nullable=False),
    Column("secret_fingerprint", _FINGERPRINT),
    Column("grant_types", _JSON, nullable=False),
    Column("token_format", String(10), nullable=False),
    Column("scopes", _JSON),
    Column("default_scope", _JSON, nullable=False),
    Column("strict_scopes", Boolean, nullable=False),
    Column("internal_scopes", Boolean, nullable=False),
    Column("is_public", Boolean, nullable=False),
    Column("is_disabled", Boolean, nullable=False),
    Column("access_token_lifetime_seconds", BigInteger),
    Column("refresh_token_lifetime_seconds", BigInteger),
    Column("validity", String(10), nullable=False),
    Column("user_stores", _JSON),  # names, in the order they are asked; NULL: the organization's chain
    Column("created_at", Instant, nullable=False),
    Index("ix_clients_page", "organization_id", "client_id"),
)

scopes = Table(
    "scopes",
    metadata,
    Column("organization_id", String(36), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("description", String(1000), nullable=False),
    Column("everyone", Boolean, nullable=False),
    Column("display_name", String(255), nullable=False, server_default=""),
)

scope_roles = Table(
    "scope_roles",
    metadata,
    Column("organization_id", String(36), primary_key=True),
    Column("scope", String(200), primary_key=True),
    Column("role", String(200), primary_key=True),
    ForeignKeyConstraint(
        ["organization_id", "scope"], ["scopes.organization_id", "scopes.name"], ondelete="CASCADE"
    ),
    Index("ix_scope_roles_role", "organization_id", "role"),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("organization_id", String(36), nullable=False, index=True),
    Column("state", String(10), nullable=False),
    Column("public_jwk", _JSON, nullable=False),
    Column("private_sealed", Text, nullable=False),
    Column("signs_from", Instant, nullable=False),  # an announced key is not promoted before
    Column("needed_until", Instant, nullable=False),  # a retiring key is published until then
)
for _state in ("announced", "active"):  # at most one of each in an organization
    Index(
        f"uq_signing_keys_{_state}",
        signing_keys.c.organization_id,
        unique=True,
        sqlite_where=signing_keys.c.state == _state,
        postgresql_where=signing_keys.c.state == _state,
    )

token_families = Table(
    "token_families",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column("client_id", String(128), nullable=False, index=True),
    Column("subject_id", String(36), nullable=False, index=True),
    Column("store", String(63), nullable=False),
    Column("username", String(400), nullable=False),
    Column("groups", _JSON, nullable=False),  # as the store said at login
    Column("scope", _JSON, nullable=False),  # the original grant, the bound of every refresh
    Column("password_checked_at", Instant, nullable=False),
    Column("access_until", Instant, nullable=False),  # when its last access token is over
    Column("refresh_until", Instant, nullable=False, index=True),  # when its last refresh token is over
    Column("revoked_at", Instant),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("fingerprint", _FINGERPRINT, primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column(
        "family_id",
        String(36),
        ForeignKey("token_families.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("expires_at", Instant, nullable=False),
    Column("consumed_at", Instant),
    Column("access", _JSON, nullable=False),  # the access token of the same answer, to answer a retry alike
)

access_tokens = Table(  # opaque ones; a JWT has no row
    "access_tokens",
    metadata,
    Column("fingerprint", _FINGERPRINT, primary_key=True),
    Column("token_id", String(36), nullable=False, unique=True),
    Column("organization_id", String(36), nullable=False),
    Column("client_id", String(128), nullable=False, index=True),
    Column("holder", String(20), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("store", String(63)),
    Column("username", String(400)),
    Column("family_id", String(36), index=True),
    Column("scope", _JSON, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
)

revocations = Table(  # what is refused although its time is not over: token:<jti>, family:<id>
    "revocations",
    metadata,
    Column("id", String(60), primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
)
