"""What belongs to a person is sealed under a key of that person alone (ADR 0017).

Destroying the key erases the person from every record, and every hash stays as it is. The keys are kept
sealed with the installation's own.
"""

import os
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, insert, select

from ostiary.foundation.audit.pictures import ERASED, PERSON, SEALED
from ostiary.foundation.audit.tables import audit_person_keys as keys
from ostiary.foundation.secrets import KEY_BYTES, SecretBox, SecretUnreadable

_NAME = "name:"
_FIND = select(keys.c.sealed_key).where(
    keys.c.organization_id == bindparam("organization_id"), keys.c.person == bindparam("person")
)
_KEEP = insert(keys)
_FORGET = delete(keys).where(
    keys.c.organization_id == bindparam("of_organization"), keys.c.person == bindparam("of_person")
)


class PersonKeys:
    """The keys of one organization's people, for one transaction."""

    def __init__(self, connection: Connection, box: SecretBox, organization_id: str) -> None:
        self._connection = connection
        self._box = box
        self._organization_id = organization_id
        self._known: dict[str, SecretBox | None] = {}

    def seal(self, value: Any) -> Any:
        """The JSON value with everything personal in it sealed; who is new gets a key."""
        match value:
            case {"$person": str(person), "$value": own, **rest} if not rest:
                return self._sealed(self._pseudonym(person), own)
            case dict():
                return {name: self.seal(one) for name, one in value.items()}
            case list():
                return [self.seal(one) for one in value]
        return value

    def open(self, value: Any) -> Any:
        """The JSON value with everything personal in it opened, or marked as erased."""
        match value:
            case {"$person": str(person), "$sealed": str(sealed), **rest} if not rest:
                return self._opened(person, sealed)
            case dict():
                return {name: self.open(one) for name, one in value.items()}
            case list():
                return [self.open(one) for one in value]
        return value

    def forget(self, person: str) -> None:
        """Destroy the key of a person, given as in `Personal`."""
        pseudonym = self._pseudonym(person)
        self._known[pseudonym] = None
        here = {"of_organization": self._organization_id, "of_person": pseudonym}
        self._connection.execute(_FORGET, here)

    def _pseudonym(self, person: str) -> str:
        """Who somebody is in the log: the subject, or the keyed hash of a name."""
        if not person.startswith(_NAME):
            return person
        return hashed_name(self._box, self._organization_id, person.removeprefix(_NAME))

    def _sealed(self, person: str, own: Any) -> dict[str, str]:
        key = self._key(person) or self._make(person)
        return {PERSON: person, SEALED: key.seal(orjson.dumps(own), self._context(person))}

    def _opened(self, person: str, sealed: str) -> Any:
        key = self._key(person)
        try:
            return {ERASED: True} if key is None else orjson.loads(key.open(sealed, self._context(person)))
        except SecretUnreadable:  # the key it was sealed under is gone, and the person came again
            return {ERASED: True}

    def _key(self, person: str) -> SecretBox | None:
        if person not in self._known:
            here = {"organization_id": self._organization_id, "person": person}
            sealed = self._connection.execute(_FIND, here).scalar()
            context = self._context(person)
            self._known[person] = None if sealed is None else SecretBox(self._box.open(sealed, context))
        return self._known[person]

    def _make(self, person: str) -> SecretBox:
        key = os.urandom(KEY_BYTES)
        here = {"organization_id": self._organization_id, "person": person}
        self._connection.execute(_KEEP, {**here, "sealed_key": self._box.seal(key, self._context(person))})
        made = self._known[person] = SecretBox(key)
        return made

    def _context(self, person: str) -> str:
        return f"audit_person_keys:sealed_key:{self._organization_id}:{person}"


def hashed_name(box: SecretBox, organization_id: str, name: str) -> str:
    """A keyed hash of a name: useless to whoever has not the installation's key."""
    return box.fingerprint(name, f"audit:name:{organization_id}")
