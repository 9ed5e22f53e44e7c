"""Signed checkpoints: the hash at a place of the chain, under a key of the organization (Ed25519, RFC 8032).

They let old records go: a checkpoint that is signed again as a *beginning* says that what came before may be
missing, and the chain verifies from there. The key signs nothing else, and never changes: a copy of its
public half kept elsewhere shows a chain that somebody who holds the whole installation has written anew.
"""

import base64
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select

from ostiary.foundation.audit.tables import audit_checkpoints as checkpoints
from ostiary.foundation.audit.tables import audit_log, audit_signing_keys
from ostiary.foundation.secrets import SecretBox

Head = tuple[int, str]
"""Sequence and hash of the newest record of a chain."""
_DROPPED_AT_ONCE = 1_000
_OF = select(checkpoints).where(checkpoints.c.organization_id == bindparam("organization_id"))
_LATEST = _OF.order_by(checkpoints.c.sequence.desc()).limit(1)
_NEXT = select(func.min(audit_log.c.organization_id)).where(audit_log.c.organization_id > bindparam("after"))
HEAD = (
    select(audit_log.c.sequence, audit_log.c.hash)
    .where(audit_log.c.organization_id == bindparam("organization_id"))
    .order_by(audit_log.c.sequence.desc())
    .limit(1)
)
"""The newest record of an organization."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The hash of the record `sequence`; `is_beginning`: everything up to it may be gone."""

    organization_id: str
    sequence: int
    is_beginning: bool
    hash: str
    at: datetime
    signature: str = ""

    def statement(self) -> bytes:
        """What is signed."""
        said = {
            "at": self.at.isoformat(timespec="microseconds"),
            "hash": self.hash,
            "is_beginning": self.is_beginning,
            "organization": self.organization_id,
            "sequence": self.sequence,
        }
        return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)

    def is_signed_by(self, key: Ed25519PublicKey) -> bool:
        """Whether the signature is that key's."""
        try:
            key.verify(base64.urlsafe_b64decode(self.signature), self.statement())
        except (InvalidSignature, ValueError):
            return False
        return True


def signing_key(connection: Connection, box: SecretBox, organization_id: str) -> Ed25519PrivateKey:
    """The key of the organization's audit log, made at its first use. Takes a write transaction then.

    Raises:
        SecretUnreadable: it was sealed with another installation's key, or somebody put it there.
    """
    context = f"audit_signing_keys:sealed_key:{organization_id}"
    here = audit_signing_keys.c.organization_id == organization_id
    sealed = connection.execute(select(audit_signing_keys.c.sealed_key).where(here)).scalar()
    if sealed is not None:
        return Ed25519PrivateKey.from_private_bytes(box.open(sealed, context))
    made = Ed25519PrivateKey.generate()
    row = {"organization_id": organization_id, "sealed_key": box.seal(made.private_bytes_raw(), context)}
    connection.execute(insert(audit_signing_keys), row)
    return made


def latest_checkpoint(connection: Connection, organization_id: str) -> Checkpoint | None:
    """The checkpoint furthest along the chain."""
    row = connection.execute(_LATEST, {"organization_id": organization_id}).first()
    return None if row is None else Checkpoint(*row)


def checkpoints_of(connection: Connection, organization_id: str) -> Iterator[Checkpoint]:
    """Every checkpoint of the organization, along the chain."""
    rows = connection.execute(_OF.order_by(checkpoints.c.sequence), {"organization_id": organization_id})
    return (Checkpoint(*row) for row in rows)


def latest_beginning(connection: Connection, box: SecretBox, organization_id: str) -> int:
    """The record up to which a signature of the organization lets records go; 0 where there is none."""
    begun = [one for one in checkpoints_of(connection, organization_id) if one.is_beginning]
    if not begun:
        return 0
    key = signing_key(connection, box, organization_id).public_key()
    return max((one.sequence for one in begun if one.is_signed_by(key)), default=0)


def sign_checkpoints(
    connection: Connection, box: SecretBox, now: datetime, every: timedelta
) -> list[Checkpoint]:
    """Sign the head of each chain that grew, unless one was signed within `every`; returns those."""
    signed = []
    for organization_id, (sequence, hash) in heads(connection).items():
        latest = latest_checkpoint(connection, organization_id)
        if latest is None or (latest.sequence < sequence and now - latest.at >= every):
            signed.append(_sign(connection, box, Checkpoint(organization_id, sequence, False, hash, now)))
    return signed


def heads(connection: Connection) -> dict[str, Head]:
    """Sequence and hash of the newest record of every organization that has any."""
    found = {}
    for organization_id in organizations_with_records(connection):
        sequence, hash = connection.execute(HEAD, {"organization_id": organization_id}).one()
        found[organization_id] = (int(sequence), str(hash))
    return found


def organizations_with_records(connection: Connection) -> Iterator[str]:
    """Whoever has records, one step through the index each: counting them all would read them all."""
    here = ""
    while (here := connection.execute(_NEXT, {"after": here}).scalar() or "") != "":
        yield here


def drop_older(connection: Connection, box: SecretBox, cutoff: datetime) -> int:
    """Drop records that are older than `cutoff` for certain, a thousand at once; returns how many went.

    What is older is known from checkpoints: everything up to one was there when it was signed.
    """
    due = select(checkpoints.c.organization_id, func.max(checkpoints.c.sequence).label("sequence"))
    due = due.where(checkpoints.c.at <= cutoff, checkpoints.c.is_beginning.is_(False))
    dropped = 0
    for organization_id, sequence in connection.execute(due.group_by(checkpoints.c.organization_id)).all():
        dropped += _drop_through(connection, box, organization_id, sequence)
    return dropped


def _drop_through(connection: Connection, box: SecretBox, organization_id: str, sequence: int) -> int:
    here = and_(checkpoints.c.organization_id == organization_id, checkpoints.c.sequence == sequence)
    found = {
        row.is_beginning: Checkpoint(*row) for row in connection.execute(select(checkpoints).where(here))
    }
    if True not in found:
        seen = found[False]
        _sign(connection, box, Checkpoint(organization_id, sequence, True, seen.hash, seen.at))
        older = and_(checkpoints.c.organization_id == organization_id, checkpoints.c.sequence < sequence)
        connection.execute(delete(checkpoints).where(older))
    old = and_(audit_log.c.organization_id == organization_id, audit_log.c.sequence <= sequence)
    first = select(audit_log.c.sequence).where(old).order_by(audit_log.c.sequence).limit(_DROPPED_AT_ONCE)
    gone = delete(audit_log).where(audit_log.c.organization_id == organization_id)
    return connection.execute(gone.where(audit_log.c.sequence.in_(first))).rowcount


def _sign(connection: Connection, box: SecretBox, checkpoint: Checkpoint) -> Checkpoint:
    key = signing_key(connection, box, checkpoint.organization_id)
    signature = base64.urlsafe_b64encode(key.sign(checkpoint.statement())).decode()
    signed = replace(checkpoint, signature=signature)
    connection.execute(insert(checkpoints), asdict(signed))
    return signed
