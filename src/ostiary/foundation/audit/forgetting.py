"""Erasing people from the audit log: what waits is chained under their keys first, then the keys go."""

from sqlalchemy import Connection

from ostiary.foundation.audit.chaining import chain_staged
from ostiary.foundation.audit.sealing import PersonKeys
from ostiary.foundation.secrets import SecretBox


def forget_people(connection: Connection, box: SecretBox, organization_id: str, *people: str) -> None:
    """Destroy the keys of people, given as in `Personal`; the chain stays as it is."""
    while chain_staged(connection, box):
        pass
    keys = PersonKeys(connection, box, organization_id)
    for person in people:
        keys.forget(person)
