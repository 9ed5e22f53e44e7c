"""Tables of the apim slice."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    String,
    Table,
    UniqueConstraint,
    false,
)

from ostiary.foundation.database import Instant, metadata

apis = Table(
    "apis",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column("name", String(60), nullable=False),
    Column("context", String(200), nullable=False),
    Column("version", String(30), nullable=False),
    Column("base_path", String(231), nullable=False),
    Column("state", String(20), nullable=False),
    Column("backend", JSON, nullable=False),  # {"production": [url], "sandbox": [url], option: value}
    Column("resources", JSON, nullable=False),  # [[method, path, [scope], auth, [requests, per] or null]]
    Column("limited_to", JSON(none_as_null=True)),  # [requests, per] of all callers
    Column("security", JSON(none_as_null=True)),  # [kind]; NULL is what it was before there was a choice
    Column("cors", JSON(none_as_null=True)),
    Column("default_version", Boolean, nullable=False, server_default=false()),
    Column("assertion_claims", JSON(none_as_null=True)),  # [name]; NULL is none
    UniqueConstraint("organization_id", "base_path"),
    UniqueConstraint("organization_id", "name", "version"),
    Index("ix_apis_page", "organization_id", "id"),
)

plans = Table(
    "plans",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column("name", String(50), nullable=False),
    Column("requests", BigInteger),  # NULL is unlimited
    Column("per", String(10), nullable=False),
    Column("burst", JSON(none_as_null=True)),  # [requests, per]
    Column("bandwidth", BigInteger),  # bytes; NULL is unlimited
    Column("built_in", Boolean, nullable=False),
    UniqueConstraint("organization_id", "name"),
)

api_plans = Table(
    "api_plans",
    metadata,
    Column("organization_id", String(36), nullable=False),
    Column("api_id", String(36), ForeignKey("apis.id"), primary_key=True),
    Column("plan_id", String(36), ForeignKey("plans.id"), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Index("ix_api_plans_plan", "plan_id", "organization_id"),
)

applications = Table(
    "applications",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column("name", String(60), nullable=False),
    Column("owner", String(255), nullable=False),
    Column("owner_subject", String(36)),
    Column("tier", String(50), nullable=False),
    UniqueConstraint("organization_id", "owner", "name"),
    Index("ix_applications_page", "organization_id", "id"),
)

application_keys = Table(
    "application_keys",
    metadata,
    Column("organization_id", String(36), nullable=False),
    Column("application_id", String(36), ForeignKey("applications.id"), primary_key=True),
    Column("key_type", String(10), primary_key=True),
    Column("client_id", String(255), nullable=False, unique=True),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column("application_id", String(36), ForeignKey("applications.id"), nullable=False),
    Column("api_id", String(36), ForeignKey("apis.id"), nullable=False),
    Column("plan_id", String(36), ForeignKey("plans.id"), nullable=False),
    Column("state", String(20), nullable=False),
    UniqueConstraint("application_id", "api_id"),
    Index("ix_subscriptions_page", "organization_id", "id"),
    Index("ix_subscriptions_api", "api_id", "organization_id"),
    Index("ix_subscriptions_plan", "plan_id", "organization_id"),
)

usage = Table(
    "usage",
    metadata,
    Column("organization_id", String(36), primary_key=True),
    Column("hour", BigInteger, primary_key=True),  # since 1970
    Column("api_id", String(36), primary_key=True),
    Column("application_id", String(36), primary_key=True),  # empty: nobody had to say who they are
    Column("subscription_id", String(36), primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Index("ix_usage_hour", "hour"),
)
"""No foreign keys: what was called stays known when what was called has gone."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column("application_id", String(36), ForeignKey("applications.id"), nullable=False),
    Column("key_type", String(10), nullable=False),
    Column("name", String(60), nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("addresses", JSON, nullable=False),
    Column("referers", JSON, nullable=False),
    UniqueConstraint("application_id", "name"),
    Index("ix_api_keys_page", "organization_id", "sha256"),
)

deny_policies = Table(
    "deny_policies",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column("condition", String(20), nullable=False),
    Column("value", String(700), nullable=False),
    Column("invert", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
    UniqueConstraint("organization_id", "condition", "value", "invert"),
)
