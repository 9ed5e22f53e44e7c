"""The audit log of an organization that is gone: kept without its people until its last record is dropped."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from ostiary.foundation.audit.checkpoints import HEAD
from ostiary.foundation.audit.tables import audit_checkpoints, audit_person_keys, audit_signing_keys


def organizations_signed(connection: Connection) -> Sequence[str]:
    """Whoever has a signed audit log; every one is, within minutes of its first record."""
    return connection.execute(select(audit_signing_keys.c.organization_id)).scalars().all()


def forget_organization(connection: Connection, organization_id: str) -> None:
    """Destroy the keys of all people; where no record is left, also what proved them."""
    over = connection.execute(HEAD, {"organization_id": organization_id}).first() is None
    for table in (audit_person_keys, *((audit_checkpoints, audit_signing_keys) if over else ())):
        connection.execute(delete(table).where(table.c.organization_id == organization_id))
