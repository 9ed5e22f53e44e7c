"""The audit log of an organization that is gone: kept without its people until its last record is dropped."""

from sqlalchemy import Connection, delete, select

from ostiary.foundation.audit.checkpoints import HEAD, organizations_with_records
from ostiary.foundation.audit.tables import audit_checkpoints, audit_person_keys, audit_signing_keys


def organizations_logged(connection: Connection) -> frozenset[str]:
    """Whoever has an audit log, or what proves one whose records are gone."""
    signed = connection.execute(select(audit_signing_keys.c.organization_id)).scalars()
    return frozenset((*organizations_with_records(connection), *signed))


def forget_organization(connection: Connection, organization_id: str) -> None:
    """Destroy the keys of all people; where no record is left, also what proved them."""
    over = connection.execute(HEAD, {"organization_id": organization_id}).first() is None
    for table in (audit_person_keys, *((audit_checkpoints, audit_signing_keys) if over else ())):
        connection.execute(delete(table).where(table.c.organization_id == organization_id))
