"""Tables of the gateway slice. Nodes are the platform's: no organization owns one."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, String, Table

from ostiary.foundation.database import Instant, metadata

gateway_nodes = Table(
    "gateway_nodes",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("credential_fingerprint", String(64), nullable=False, unique=True),
    Column("rotation", BigInteger, nullable=False),
    Column("acknowledged", BigInteger, nullable=False),
    Column("seen_at", Instant),
    Column("enrolled_at", Instant, nullable=False),
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
