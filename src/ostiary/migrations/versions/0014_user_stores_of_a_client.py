"""A client may say which user stores its logins ask."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("clients") as table:
        table.add_column(sa.Column("user_stores", sa.JSON(none_as_null=True), nullable=True))
