"""The audit log, with the keys of people and organizations in it."""

import sqlalchemy as sa
from alembic import op

from ostiary.foundation.database import Instant

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "audit_staged",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("organization_id", sa.String(36), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_staged")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audit_log",
        sa.Column("organization_id", sa.String(36), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=True),
        sa.Column("actor_id", sa.String(255), nullable=True),
        sa.Column("target_id", sa.String(400), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "sequence", name=op.f("pk_audit_log")),
    )
    for name in ("request", "actor", "target"):
        column = {"request": "request_id", "actor": "actor_id", "target": "target_id"}[name]
        op.create_index(f"ix_audit_log_{name}", "audit_log", ["organization_id", column])
    op.create_table(
        "audit_person_keys",
        sa.Column("organization_id", sa.String(36), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("sealed_key", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "person", name=op.f("pk_audit_person_keys")),
    )
    op.create_table(
        "audit_signing_keys",
        sa.Column("organization_id", sa.String(36), nullable=False),
        sa.Column("sealed_key", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_audit_signing_keys")),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("organization_id", sa.String(36), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("is_beginning", sa.Boolean(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("signature", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint(
            "organization_id", "sequence", "is_beginning", name=op.f("pk_audit_checkpoints")
        ),
    )
    op.create_index("ix_audit_checkpoints_at", "audit_checkpoints", ["at"])
