"""Tables of challenge questions and their answers."""

from sqlalchemy import Column, String, Table, UniqueConstraint

from ostiary.foundation.database import Instant, metadata

challenge_questions = Table(
    "challenge_questions",
    metadata,
    Column("organization_id", String(36), primary_key=True),
    Column("set_id", String(64), primary_key=True),
    Column("question_id", String(64), primary_key=True),
    Column("locale", String(32), primary_key=True),
    Column("question", String(255), nullable=False),
    UniqueConstraint("organization_id", "set_id", "locale", "question"),
)

challenge_answers = Table(
    "challenge_answers",
    metadata,
    Column("organization_id", String(36), primary_key=True),
    Column("subject_id", String(36), primary_key=True),
    Column("set_id", String(64), primary_key=True),
    Column("question", String(255), nullable=False),  # as it was asked: questions come and go
    Column("answer_hash", String(255), nullable=False),
    Column("answered_at", Instant, nullable=False),
)
