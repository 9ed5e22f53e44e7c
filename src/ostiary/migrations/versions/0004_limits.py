"""Plans have a burst and a bandwidth, API versions a limit of all callers."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("plans", schema=None) as batch_op:
        batch_op.add_column(sa.Column("burst", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("bandwidth", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("apis", schema=None) as batch_op:
        batch_op.add_column(sa.Column("limited_to", sa.JSON(none_as_null=True), nullable=True))
