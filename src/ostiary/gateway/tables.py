"""Tables of the gateway slice. Nodes are the platform's: no organization owns one."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, String, Table, Text

from ostiary.foundation.database import Instant, metadata

gateway_nodes = Table(
    "gateway_nodes",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("credential_fingerprint", String(64), unique=True),  # of the embedded node alone
    Column("enrolment_fingerprint", String(64), unique=True),  # of the one-time token, until it is used
    Column("enrolment_expires_at", Instant),
    Column("rotation", BigInteger, nullable=False),
    Column("acknowledged", BigInteger, nullable=False),
    Column("seen_at", Instant),
    Column("added_at", Instant),
    Column("enrolled_at", Instant),
)
Index(
    "uq_gateway_nodes_name",
    gateway_nodes.c.name,
    unique=True,
    sqlite_where=gateway_nodes.c.credential_fingerprint.is_(None),
    postgresql_where=gateway_nodes.c.credential_fingerprint.is_(None),
)

gateway_authority = Table(
    "gateway_authority",
    metadata,
    Column("id", String(10), primary_key=True),
    Column("certificate", Text, nullable=False),
    Column("sealed_key", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

gateway_node_keys = Table(
    "gateway_node_keys",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("node_id", String(36), ForeignKey("gateway_nodes.id"), nullable=False, index=True),
    Column("jwk", JSON, nullable=False),
    Column("state", String(10), nullable=False),
    Column("registered_at", Instant, nullable=False),
)

explanations = Table(
    "explanations",
    metadata,
    Column("request_id", String(64), primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column("told_at", Instant, nullable=False, index=True),
    Column("document", JSON, nullable=False),
)
"""Why requests were refused. Rows go when they are old, and the oldest when they are many."""

gateway_counts = Table(
    "gateway_counts",
    metadata,
    Column("node_id", String(36), ForeignKey("gateway_nodes.id", ondelete="CASCADE"), primary_key=True),
    Column("counts", Text, nullable=False),
    Column("counted_at", Instant, nullable=False),
)
"""What each node counted against limits, as JSON: one row, so a report is one cheap write."""

gateway_usage_reports = Table(
    "gateway_usage_reports",
    metadata,
    Column("node_id", String(36), ForeignKey("gateway_nodes.id"), primary_key=True),
    Column("stream", String(36), nullable=False),
    Column("sequence", BigInteger, nullable=False),
)
