"""Anchors: ends of chains, noted outside of the database so that a tail cut off there is missed (ADR 0024).

A file of the data directory, a line an anchor, which every worker of the machine appends to. Whoever has the
database alone cannot change it. An organization whose last anchor is not in its chain any more gets no new
ones: what is there is the evidence.
"""

import fcntl
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson
from sqlalchemy import Connection, bindparam, select

from ostiary.foundation.audit.checkpoints import Head, latest_beginning
from ostiary.foundation.audit.tables import audit_log
from ostiary.foundation.private_files import write_private
from ostiary.foundation.secrets import SecretBox

FILE: Final = "audit-anchors.jsonl"
"""Its name in the data directory."""
LARGEST: Final = 1_000_000
"""Bytes, after which every second anchor of the file goes."""
Heads = Mapping[str, Head]
"""The newest record, by organization."""
_HASH = select(audit_log.c.hash).where(
    audit_log.c.organization_id == bindparam("organization_id"), audit_log.c.sequence == bindparam("sequence")
)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A record that was the newest of its organization, and when it was."""

    organization_id: str
    sequence: int
    hash: str
    at: datetime

    @property
    def head(self) -> Head:
        """Sequence and hash."""
        return self.sequence, self.hash

    def line(self) -> bytes:
        """As it stands in the file."""
        said = {"organization": self.organization_id, "sequence": self.sequence, "hash": self.hash}
        return orjson.dumps(said | {"at": self.at}, option=orjson.OPT_APPEND_NEWLINE)


class AnchorFile:
    """The anchors of one machine. Other processes may append at the same time."""

    def __init__(self, path: Path, largest: int = LARGEST) -> None:
        self._path = path
        self._largest = largest

    def read(self) -> list[Anchor]:
        """Every anchor, as they were noted; what is no anchor is left out. A file that is not there has none.

        Raises:
            OSError: it is there and cannot be read.
        """
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        return [anchor for line in lines if (anchor := _parsed(line)) is not None]

    def add(self, anchors: Iterable[Anchor]) -> None:
        """Note anchors; where the file grew too large, every second one but the last of each goes.

        What another process waits to append then is lost; a second later it has a newer one.
        """
        lines = b"".join(anchor.line() for anchor in anchors)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(lines)
            file.flush()
            if file.tell() > self._largest:
                write_private(self._path, b"".join(anchor.line() for anchor in thinned(self.read())))


def thinned(anchors: Collection[Anchor]) -> list[Anchor]:
    """Every second anchor, and the last of each organization."""
    last = set(latest(anchors).values())
    return [anchor for number, anchor in enumerate(anchors) if number % 2 or anchor in last]


def latest(anchors: Iterable[Anchor]) -> dict[str, Anchor]:
    """The anchor furthest along the chain, by organization."""
    return {one.organization_id: one for one in sorted(anchors, key=lambda one: one.sequence)}


def still_there(connection: Connection, box: SecretBox, anchor: Anchor) -> bool:
    """Whether the anchored record is in its chain, or was dropped with those a signature lets go.

    To be asked in a transaction that began after the anchor was read: others go on chaining.
    """
    wanted = {"organization_id": anchor.organization_id, "sequence": anchor.sequence}
    found = connection.execute(_HASH, wanted).scalar()
    if found is not None:
        return bool(found == anchor.hash)
    return anchor.sequence <= latest_beginning(connection, box, anchor.organization_id)


def anchors_of(heads: Heads, now: datetime) -> list[Anchor]:
    """The anchors of these ends of chains."""
    return [Anchor(organization_id, *head, now) for organization_id, head in heads.items()]


def _parsed(line: bytes) -> Anchor | None:
    try:
        said = orjson.loads(line)
        at = datetime.fromisoformat(said["at"]).astimezone(UTC)
        return Anchor(str(said["organization"]), int(said["sequence"]), str(said["hash"]), at)
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError):
        return None
