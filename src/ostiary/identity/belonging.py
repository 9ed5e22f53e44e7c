"""What a store tells of a user besides its password: groups and claims, within bounds.

They are kept with the subject, told anew at each login. Too much of them refuses nobody: what is over
the bounds is left out, so a user has fewer groups, never more.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from ostiary.foundation.events import Event
from ostiary.foundation.events import record as record_events
from ostiary.identity.group_names import mistakable
from ostiary.identity.model import AuthenticatedUser, Subject
from ostiary.identity.repository import subjects
from ostiary.identity.user_names import is_text
from ostiary.identity.user_stores.contract import UserRecord
from ostiary.identity.user_stores.steps import note
from ostiary.organizations import narrow

MOST_GROUPS: Final = 1_000
LONGEST_GROUP: Final = 255
MOST_CLAIMS: Final = 50
LONGEST_CLAIM_NAME: Final = 100
LONGEST_CLAIM: Final = 1_000
MOST_CLAIM_BYTES: Final = 16_384
"""UTF-8 of all names and values together."""


def bounded(record: UserRecord) -> UserRecord:
    """The record with no more groups and claims than are kept; the first by name where there are too many.

    Of groups that look alike none counts.
    """
    mistaken = mistakable(record.groups)
    groups, ambiguous = _texts(record.groups - mistaken), _texts(record.ambiguous_groups | mistaken)
    kept = replace(
        record,
        groups=frozenset(groups[:MOST_GROUPS]),
        claims=dict(_fitting(record.claims)),
        ambiguous_groups=frozenset(ambiguous[:MOST_GROUPS]),
    )
    fewer = {
        "groups": len(record.groups - mistaken) - len(kept.groups),
        "claims": len(record.claims) - len(kept.claims),
    }
    if any(fewer.values()):
        note("left out, because it is too much or too long", **fewer)
    if ambiguous:
        note(
            "groups that count for nobody, because others have the same name or one like it", groups=ambiguous
        )
    return kept


def learn(connection: Connection, subject: Subject, before: subjects.Belonging, record: UserRecord) -> None:
    """Keep what a store has just told of the subject, in place of what it told `before`.

    Tokens of somebody who has left a group are refused: they may carry what the group gave. Call it
    before the epoch of a new token is read.
    """
    here = (connection, subject.organization_id, subject.id)
    now = subjects.Belonging(sorted(record.groups), dict(record.claims))
    if before != now:
        subjects.learn(*here, now)
    if set(before.groups or ()) - record.groups:
        narrow(connection, subject.organization_id, "subject", subject.id)
    if (before.claims or {}) != record.claims:
        say_claims_changed(*here)


def see_user(
    connection: Connection,
    organization_id: str,
    store_id: str,
    store: str,
    record: UserRecord,
    now: datetime,
    known_as: str | None = None,
) -> AuthenticatedUser:
    """The user as a store has just told, with the `sub` of first sight; tokens may be narrowed by that.

    `known_as` is the canonical name that the store accepted, where that is not the person's own.
    """
    subject, before = subjects.see(
        connection, organization_id, store_id, store, record, now, checked_at=now, known_as=known_as
    )
    learn(connection, subject, before, record)
    groups = frozenset(f"{store}/{group}" for group in record.groups)
    return AuthenticatedUser(subject, groups, record.claims)


def claims_of(connection: Connection, organization_id: str, subject_id: str) -> Mapping[str, str] | None:
    """The claims of somebody: a user of PRIMARY's as they are now, others' as their store told last.

    None where none are known: there is no such subject here, or its store has not been asked since.
    """
    return subjects.claims(connection, organization_id, subject_id)


def say_claims_changed(connection: Connection, organization_id: str, subject_id: str) -> None:
    """Tell gateways that what they know of somebody is no longer so."""
    record_events(connection, Event("claims", organization_id, subject_id))


def _texts(groups: Iterable[str]) -> list[str]:
    return sorted(group for group in groups if is_text(group, LONGEST_GROUP))


def _fitting(claims: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    room, places = MOST_CLAIM_BYTES, MOST_CLAIMS
    for name, value in sorted(claims.items()):
        if not is_text(name, LONGEST_CLAIM_NAME) or not is_text(value, LONGEST_CLAIM):
            continue
        size = len(name.encode()) + len(value.encode())
        if size <= room and places:
            room, places = room - size, places - 1
            yield name, value
