"""When a store last said that a person may go on, and the name by which it knew the person."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("subjects") as table:
        table.add_column(sa.Column("confirmed_at", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("known_as", sa.String(255), nullable=True))
    op.execute("UPDATE subjects SET confirmed_at = password_checked_at, known_as = username")
