"""APIs say which claims of users their backends are told."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("apis") as table:
        table.add_column(sa.Column("assertion_claims", sa.JSON(none_as_null=True), nullable=True))
