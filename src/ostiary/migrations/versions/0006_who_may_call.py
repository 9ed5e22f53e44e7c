"""APIs say what credentials they take; applications have API keys, organizations deny policies."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("apis", schema=None) as batch_op:
        batch_op.add_column(sa.Column("security", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("cors", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(
            sa.Column("default_version", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("application_id", sa.String(length=36), nullable=False),
        sa.Column("key_type", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("addresses", sa.JSON(), nullable=False),
        sa.Column("referers", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application_id"], ["applications.id"], name=op.f("fk_api_keys_application_id_applications")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("application_id", "name", name=op.f("uq_api_keys_application_id_name")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_keys_sha256")),
    )
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.create_index("ix_api_keys_organization", ["organization_id"], unique=False)
    op.create_table(
        "deny_policies",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("condition", sa.String(length=20), nullable=False),
        sa.Column("value", sa.String(length=700), nullable=False),
        sa.Column("invert", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deny_policies")),
        sa.UniqueConstraint(
            "organization_id",
            "condition",
            "value",
            "invert",
            name=op.f("uq_deny_policies_organization_id_condition_value_invert"),
        ),
    )
