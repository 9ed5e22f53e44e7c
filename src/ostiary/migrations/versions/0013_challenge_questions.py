"""Challenge questions, and what people answered."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "challenge_questions",
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("set_id", sa.String(length=64), nullable=False),
        sa.Column("question_id", sa.String(length=64), nullable=False),
        sa.Column("locale", sa.String(length=32), nullable=False),
        sa.Column("question", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint(
            "organization_id", "set_id", "question_id", "locale", name=op.f("pk_challenge_questions")
        ),
        sa.UniqueConstraint(
            "organization_id",
            "set_id",
            "locale",
            "question",
            name=op.f("uq_challenge_questions_organization_id_set_id_locale_question"),
        ),
    )
    op.create_table(
        "challenge_answers",
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("subject_id", sa.String(length=36), nullable=False),
        sa.Column("set_id", sa.String(length=64), nullable=False),
        sa.Column("question", sa.String(length=255), nullable=False),
        sa.Column("answer_hash", sa.String(length=255), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "subject_id", "set_id", name=op.f("pk_challenge_answers")),
    )
