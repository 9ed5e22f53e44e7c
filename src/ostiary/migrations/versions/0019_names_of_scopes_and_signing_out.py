"""Scopes have names that people read, and subjects say what they have ended."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("scopes") as table:
        table.add_column(sa.Column("display_name", sa.String(255), nullable=False, server_default=""))
    with op.batch_alter_table("subjects") as table:
        table.add_column(sa.Column("signed_out_at", sa.BigInteger(), nullable=True))
