"""Groups and claims are kept with the subject, as its store told them last."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("subjects") as table:
        table.add_column(sa.Column("groups", sa.JSON(none_as_null=True), nullable=True))
        table.add_column(sa.Column("claims", sa.JSON(none_as_null=True), nullable=True))
    columns = ["organization_id", "store_id", "immutable_id"]
    op.create_index("ix_kept_credentials_person", "kept_credentials", columns)
