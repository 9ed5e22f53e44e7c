"""Verifying a chain: every hash, every link, every signed checkpoint, and both ends."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, select

from ostiary.foundation.audit.anchors import Anchor
from ostiary.foundation.audit.chaining import START, digest
from ostiary.foundation.audit.checkpoints import Checkpoint, checkpoints_of, signing_key
from ostiary.foundation.audit.tables import audit_log
from ostiary.foundation.secrets import SecretBox, SecretUnreadable

_COLUMNS = (audit_log.c.sequence, audit_log.c.document, audit_log.c.hash)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found. `problem` is the first thing that is wrong, None where nothing is."""

    records: int
    first: int
    last: int
    checkpoints: int
    anchors: int = 0
    problem: str | None = None

    def __str__(self) -> str:
        place = f" ({self.first} to {self.last})" if self.records else ""
        said = f"{self.records} records{place}, {self.checkpoints} signed checkpoints, {self.anchors} anchors"
        return f"{said}: " + ("as they were written" if self.problem is None else self.problem)


class _Broken(Exception):
    """The chain is not what it was."""


@dataclass(slots=True)
class _Walk:
    """Where a verification is."""

    organization_id: str
    checkpoints: dict[int, Checkpoint]
    beginning: int
    anchors: dict[int, Anchor]
    previous: str = START
    records: int = 0
    first: int = 0
    last: int = 0

    def step(self, sequence: int, document: str, hash: str) -> None:
        if digest(document) != hash:
            raise _Broken(f"record {sequence} was altered: its hash is another one")
        said = _parsed(document)
        if (said.get("organization"), said.get("sequence")) != (self.organization_id, sequence):
            raise _Broken(f"record {sequence} belongs to another place")
        if self.records == 0:
            self._begin(sequence, said.get("previous"))
        elif (sequence, said.get("previous")) != (self.last + 1, self.previous):
            raise _Broken(f"record {sequence} does not follow on record {self.last}")
        if (checkpoint := self.checkpoints.get(sequence)) is not None and checkpoint.hash != hash:
            raise _Broken(f"record {sequence} is not the one that was signed")
        if (anchor := self.anchors.get(sequence)) is not None and anchor.hash != hash:
            raise _Broken(
                f"record {sequence} is not the one that was there at {_instant(anchor)}; "
                + self._since(sequence)
            )
        self.records, self.last, self.previous = self.records + 1, sequence, hash

    def _begin(self, sequence: int, previous: Any) -> None:
        if sequence > self.beginning + 1:
            raise _Broken(f"records before {sequence} are missing, and no signature allows that")
        before = self.checkpoints.get(sequence - 1)
        if sequence == 1 and previous != START:
            raise _Broken("record 1 names one before it")
        if before is not None and before.hash != previous:
            raise _Broken(f"record {sequence} does not follow on the signed record {sequence - 1}")
        self.first = sequence

    def end(self) -> None:
        furthest = max(self.checkpoints, default=0)
        if max(self.last, self.beginning) < furthest:
            raise _Broken(f"records {self.last + 1} to {furthest} are missing: record {furthest} was signed")
        anchored = max(self.anchors, default=0)
        if max(self.last, self.beginning) < anchored:
            there = f"record {anchored} was there at {_instant(self.anchors[anchored])}"
            raise _Broken(
                f"records {self.last + 1} to {anchored} are missing: {there}; {self._since(anchored)}"
            )

    def _since(self, sequence: int) -> str:
        """Up to where the chain is as it was, as far as anchors tell."""
        held = [one for place, one in self.anchors.items() if place <= min(self.last, sequence - 1)]
        if not held:
            return "no anchor before it tells since when"
        last = max(held, key=lambda one: one.sequence)
        return f"up to record {last.sequence}, of {_instant(last)}, all is there"


def _instant(anchor: Anchor) -> str:
    return anchor.at.isoformat(timespec="seconds")


def _parsed(document: str) -> dict[str, Any]:
    try:
        said = orjson.loads(document)
    except orjson.JSONDecodeError:
        said = None
    return said if isinstance(said, dict) else {}


def verify_chain(
    connection: Connection, box: SecretBox, organization_id: str, anchors: Iterable[Anchor] = ()
) -> Verdict:
    """Verify all of an organization's chain, in one snapshot that is younger than the anchors."""
    signed = tuple(checkpoints_of(connection, organization_id))
    rows = connection.execution_options(yield_per=1_000).execute(
        select(*_COLUMNS).where(audit_log.c.organization_id == organization_id).order_by(audit_log.c.sequence)
    )
    try:
        key = signing_key(connection, box, organization_id).public_key() if signed else None
    except SecretUnreadable:
        return Verdict(0, 0, 0, 0, problem="the key that signs is not this installation's")
    records = ((row.sequence, row.document, row.hash) for row in rows)
    return verify_records(organization_id, key, signed, records, anchors)


def public_key(connection: Connection, box: SecretBox, organization_id: str) -> str | None:
    """The public half of what signs, 64 hexadecimal characters; None before the first checkpoint."""
    if not any(checkpoints_of(connection, organization_id)):
        return None
    return signing_key(connection, box, organization_id).public_key().public_bytes_raw().hex()


def verify_records(
    organization_id: str,
    key: Ed25519PublicKey | None,
    signed: Iterable[Checkpoint],
    records: Iterable[tuple[int, str, str]],
    anchors: Iterable[Anchor] = (),
) -> Verdict:
    """Verify records (sequence, document, hash) in their order; `key` is None where nothing was signed."""
    known = list(signed)
    beginning = max((one.sequence for one in known if one.is_beginning), default=0)
    anchored = {one.sequence: one for one in anchors if one.organization_id == organization_id}
    walk = _Walk(organization_id, {one.sequence: one for one in known}, beginning, anchored)
    problem = None
    try:
        for checkpoint in known:
            if key is None or not checkpoint.is_signed_by(key):
                raise _Broken(
                    f"the checkpoint at {checkpoint.sequence} is not signed by the organization's key"
                )
        for sequence, document, hash in records:
            walk.step(sequence, document, hash)
        walk.end()
    except _Broken as broken:
        problem = str(broken)
    return Verdict(walk.records, walk.first, walk.last, len(known), len(anchored), problem)
