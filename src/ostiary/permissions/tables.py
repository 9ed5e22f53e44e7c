"""Tables of the permissions slice."""

from sqlalchemy import JSON, Column, ForeignKey, Index, String, Table, UniqueConstraint

from ostiary.foundation.database import metadata

roles = Table(
    "roles",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization_id", String(36), ForeignKey("organizations.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("permissions", JSON, nullable=False),
    Column("external_id", String(255)),  # the name a provisioning client has for the role
    UniqueConstraint("organization_id", "name"),
)

role_members = Table(
    "role_members",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization_id", String(36), nullable=False),
    Column("role_id", String(36), ForeignKey("roles.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("store", String(100), nullable=False),
    Column("name", String(255), nullable=False),
    Column("subject_id", String(36)),
    UniqueConstraint("role_id", "kind", "store", "name"),
)
Index("ix_role_members_name", role_members.c.organization_id, role_members.c.kind, role_members.c.name)
Index("ix_role_members_subject", role_members.c.organization_id, role_members.c.subject_id)
