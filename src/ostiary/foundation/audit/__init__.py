"""Audit: who did what, to what, from where, in which request; refusals included (ADR 0017).

A use case notes its change in the transaction that makes it. One writer off the request path chains the
records of each organization: sequence, hash of the one before, hash. What belongs to a person is sealed under
a key of that person, so that erasing somebody destroys a key and no record.
"""

from ostiary.foundation.audit.anchoring import anchor_heads
from ostiary.foundation.audit.anchors import FILE as ANCHOR_FILE
from ostiary.foundation.audit.anchors import Anchor, AnchorFile, Heads, anchors_of, latest, still_there
from ostiary.foundation.audit.chaining import chain_staged, has_staged
from ostiary.foundation.audit.checkpoints import Head, drop_older, sign_checkpoints
from ostiary.foundation.audit.checkpoints import heads as heads_of_chains
from ostiary.foundation.audit.forgetting import forget_people
from ostiary.foundation.audit.noting import note, note_unless_noted
from ostiary.foundation.audit.origin import Actor, Origin, acting, current_origin
from ostiary.foundation.audit.outliving import forget_organization, organizations_logged
from ostiary.foundation.audit.pictures import HIDDEN, Personal, named
from ostiary.foundation.audit.reading import Wanted, read_records, sealed_records
from ostiary.foundation.audit.refusals import EVERY, Refusal, Refusals
from ostiary.foundation.audit.sealing import PersonKeys, hashed_name
from ostiary.foundation.audit.settings import AuditSettings
from ostiary.foundation.audit.verifying import Verdict, public_key, verify_chain, verify_records

__all__ = [
    "ANCHOR_FILE",
    "EVERY",
    "HIDDEN",
    "Actor",
    "Anchor",
    "AnchorFile",
    "AuditSettings",
    "Head",
    "Heads",
    "Origin",
    "PersonKeys",
    "Personal",
    "Refusal",
    "Refusals",
    "Verdict",
    "Wanted",
    "acting",
    "anchor_heads",
    "anchors_of",
    "chain_staged",
    "current_origin",
    "drop_older",
    "forget_organization",
    "forget_people",
    "has_staged",
    "hashed_name",
    "heads_of_chains",
    "latest",
    "named",
    "note",
    "note_unless_noted",
    "organizations_logged",
    "public_key",
    "read_records",
    "sealed_records",
    "sign_checkpoints",
    "still_there",
    "verify_chain",
    "verify_records",
]
