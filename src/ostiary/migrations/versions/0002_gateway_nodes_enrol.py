"""Gateway nodes enrol with a one-time token and are certified by the installation's own authority."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "gateway_authority",
        sa.Column("id", sa.String(length=10), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("sealed_key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateway_authority")),
    )
    with op.batch_alter_table("gateway_nodes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("enrolment_fingerprint", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("enrolment_expires_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("added_at", sa.BigInteger(), nullable=True))
        batch_op.alter_column("credential_fingerprint", existing_type=sa.String(length=64), nullable=True)
        batch_op.alter_column("enrolled_at", existing_type=sa.BigInteger(), nullable=True)
        batch_op.create_unique_constraint(
            batch_op.f("uq_gateway_nodes_enrolment_fingerprint"), ["enrolment_fingerprint"]
        )
    with op.batch_alter_table("gateway_nodes", schema=None) as batch_op:
        unset = sa.text("credential_fingerprint IS NULL")
        batch_op.create_index(
            "uq_gateway_nodes_name", ["name"], unique=True, sqlite_where=unset, postgresql_where=unset
        )
