"""Assertions of identity providers are used once."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "redeemed_assertions",
        sa.Column("organization_id", sa.String(36), nullable=False),
        sa.Column("assertion", sa.String(64), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "assertion", name="pk_redeemed_assertions"),
    )
    op.create_index("ix_redeemed_assertions_ends_at", "redeemed_assertions", ["ends_at"])
