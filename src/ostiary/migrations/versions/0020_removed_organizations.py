"""Organizations can be removed; counters of failed logins say whose they are, as far as a store knows."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_BY_REFERENCE = (
    ("subscriptions", "ix_subscriptions_api", "api_id"),
    ("subscriptions", "ix_subscriptions_plan", "plan_id"),
    ("api_plans", "ix_api_plans_plan", "plan_id"),
)
"""Deleting what rows refer to looks for those rows, whose organization nobody says then."""


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("organizations") as table:
        table.add_column(sa.Column("removed_at", sa.BigInteger(), nullable=True))
    removed = sa.text("removed_at IS NOT NULL")
    op.create_index(
        "ix_organizations_removed",
        "organizations",
        ["removed_at"],
        sqlite_where=removed,
        postgresql_where=removed,
    )
    for table_name, index, column in _BY_REFERENCE:
        op.drop_index(index, table_name)
        op.create_index(index, table_name, [column, "organization_id"])
    with op.batch_alter_table("login_attempts") as table:
        table.add_column(sa.Column("subject_id", sa.String(36), nullable=True))
        table.add_column(sa.Column("locked_at", sa.BigInteger(), nullable=True))
    op.create_index("ix_subjects_known_as", "subjects", ["organization_id", "store", "known_as"])
