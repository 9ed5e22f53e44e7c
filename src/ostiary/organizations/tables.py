"""Tables of the organizations slice."""

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, String, Table

from ostiary.foundation.database import Instant, metadata

organizations = Table(
    "organizations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("display_name", String(200), nullable=False),
    Column("features", JSON, nullable=False),
    Column("chain", String(20), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("epoch_mark", BigInteger),  # what the epoch was when it was marked
    Column("epoch_marked_at", Instant),
    Column("version", Integer, nullable=False),
    Column(
        "removed_at", Instant
    ),  # from then on it is nobody's to see; the row keeps its name until all is gone
)
Index(
    "ix_organizations_removed",
    organizations.c.removed_at,
    sqlite_where=organizations.c.removed_at.is_not(None),
    postgresql_where=organizations.c.removed_at.is_not(None),
)

epoch_minimums = Table(
    "epoch_minimums",
    metadata,
    Column("organization_id", String(36), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("minimum", BigInteger, nullable=False),
)
