"""Tables of the audit log: what waits, what is chained, and the keys of both people and organizations."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from ostiary.foundation.database import Instant, metadata

audit_staged = Table(
    "audit_staged",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("organization_id", String(36), nullable=False),
    Column("document", Text, nullable=False),
    sqlite_autoincrement=True,
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("organization_id", String(36), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("request_id", String(64)),
    Column("actor_id", String(255)),
    Column("target_id", String(400)),
    Column("document", Text, nullable=False),  # exactly the text that was hashed
    Column("hash", String(64), nullable=False),
)
Index("ix_audit_log_request", audit_log.c.organization_id, audit_log.c.request_id)
Index("ix_audit_log_actor", audit_log.c.organization_id, audit_log.c.actor_id)
Index("ix_audit_log_target", audit_log.c.organization_id, audit_log.c.target_id)

audit_person_keys = Table(
    "audit_person_keys",
    metadata,
    Column("organization_id", String(36), primary_key=True),
    Column("person", String(64), primary_key=True),  # a subject, or the keyed hash of a name
    Column("sealed_key", String(255), nullable=False),
)

audit_signing_keys = Table(
    "audit_signing_keys",
    metadata,
    Column("organization_id", String(36), primary_key=True),
    Column("sealed_key", String(255), nullable=False),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("organization_id", String(36), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("is_beginning", Boolean, primary_key=True),  # the records up to it may be dropped
    Column("hash", String(64), nullable=False),
    Column("at", Instant, nullable=False, index=True),
    Column("signature", String(100), nullable=False),
)
