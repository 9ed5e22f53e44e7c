"""Users and roles have the identifiers of provisioning clients; users what such clients say of them."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("users") as table:
        table.add_column(sa.Column("external_id", sa.String(length=255), nullable=True))
        table.add_column(sa.Column("attributes", sa.JSON(none_as_null=True), nullable=True))
        table.create_index("ix_users_external_id", ["organization_id", "external_id", "username"])
    with op.batch_alter_table("roles") as table:
        table.add_column(sa.Column("external_id", sa.String(length=255), nullable=True))
