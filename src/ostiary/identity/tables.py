"""Tables of the identity slice."""

from sqlalchemy import JSON, Column, Index, Integer, String, Table, UniqueConstraint

from ostiary.foundation.database import Instant, metadata

users = Table(
    "users",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column("username", String(255), nullable=False),
    Column("password_hash", String(1024), nullable=False),  # imported ones may be of other schemes
    Column("claims", JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("external_id", String(255)),  # the name a provisioning client has for the user
    Column("attributes", JSON(none_as_null=True)),  # what such a client has said that is no claim
    UniqueConstraint("organization_id", "username"),
)
Index("ix_users_external_id", users.c.organization_id, users.c.external_id, users.c.username)

subjects = Table(
    "subjects",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column("store_id", String(36), nullable=False),  # "PRIMARY" or user_stores.id: a name can be reused
    Column("store", String(63), nullable=False),
    Column("immutable_id", String(255), nullable=False),
    Column("username", String(255), nullable=False),
    Column("first_seen_at", Instant, nullable=False),
    Column("password_checked_at", Instant),
    Column("confirmed_at", Instant),  # when the store last said so, asked with a password or without
    Column("known_as", String(255)),  # the canonical name that the store accepted last
    Column("disabled_at", Instant),
    Column("signed_out_at", Instant),  # what began with a login until then is over
    Column("groups", JSON(none_as_null=True)),  # as the store said at the last login; NULL: never
    Column("claims", JSON(none_as_null=True)),
    UniqueConstraint("organization_id", "store_id", "immutable_id"),
)
Index("ix_subjects_username", subjects.c.organization_id, subjects.c.store, subjects.c.username)
Index("ix_subjects_known_as", subjects.c.organization_id, subjects.c.store, subjects.c.known_as)

user_stores = Table(
    "user_stores",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column("name", String(63), nullable=False),
    Column("type", String(20), nullable=False),
    Column("position", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("options", JSON, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("sealed", JSON, nullable=False),
    UniqueConstraint("organization_id", "name"),
)

kept_credentials = Table(
    "kept_credentials",
    metadata,
    Column("organization_id", String(36), primary_key=True),
    Column("store_id", String(36), primary_key=True),
    Column("username", String(255), primary_key=True),  # what was typed, canonical: it may be an address
    Column("immutable_id", String(255), nullable=False),
    Column("own_name", String(255), nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("groups", JSON, nullable=False),
    Column("claims", JSON, nullable=False),
    Column("kept_at", Instant, nullable=False),
)

Index(
    "ix_kept_credentials_person",
    kept_credentials.c.organization_id,
    kept_credentials.c.store_id,
    kept_credentials.c.immutable_id,
)

redeemed_assertions = Table(
    "redeemed_assertions",
    metadata,
    Column("organization_id", String(36), primary_key=True),
    Column("assertion", String(64), primary_key=True),  # the SHA-256 of its issuer and identifier
    Column("ends_at", Instant, nullable=False),
)
Index("ix_redeemed_assertions_ends_at", redeemed_assertions.c.ends_at)

login_attempts = Table(
    "login_attempts",
    metadata,
    Column("organization_id", String(36), primary_key=True),
    Column("identity", String(64), primary_key=True),  # a digest: people type passwords into name fields
    Column("client_id", String(255), primary_key=True),  # "" counts all clients together
    Column("failures", Integer, nullable=False),
    Column("pending", Integer, nullable=False),
    Column("pending_since", Instant, nullable=False),
    Column("locked_until", Instant),
    Column("expires_at", Instant, nullable=False),
    Column("subject_id", String(36)),  # whose they are; NULL: nobody has been seen under that name
    Column("locked_at", Instant),
)
Index("ix_login_attempts_expires_at", login_attempts.c.expires_at)
