"""What an entry says of a person: who it is, claims, and whether it may log in at all.

Entries are asked for `BARRING` attributes by name; a directory that does not know one leaves it out.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from ostiary.identity.user_stores.ldap.client import Entry

_GUID: Final = "objectguid"
_ACCOUNT_DISABLED: Final = 0x2
_PASSWORD_EXPIRED: Final = 0x80_0000
_FILE_TIME_BEGINS: Final = datetime(1601, 1, 1, tzinfo=UTC)
_NEVER: Final = frozenset({0, 0x7FFF_FFFF_FFFF_FFFF})
_LOCKED_FOR_GOOD: Final = "000001010000Z"

Bars = Callable[[str, datetime], bool]
"""A value and the time now → whether who has it may not log in."""


def _is_disabled(value: str, _: datetime) -> bool:
    return bool(int(value) & _ACCOUNT_DISABLED)


def _has_expired_password(value: str, _: datetime) -> bool:
    return bool(int(value) & _PASSWORD_EXPIRED)


def _has_expired(value: str, now: datetime) -> bool:
    ticks = int(value)
    return ticks not in _NEVER and _FILE_TIME_BEGINS + timedelta(microseconds=ticks // 10) <= now


def _has_ended(value: str, now: datetime) -> bool:
    return datetime.strptime(value[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC) <= now


BARRING: Final[Mapping[str, tuple[Bars, str]]] = {
    "userAccountControl": (_is_disabled, "the account is disabled"),  # MS-ADTS §2.2.16
    "accountExpires": (_has_expired, "the account has expired"),
    "msDS-User-Account-Control-Computed": (_has_expired_password, "the password must be changed"),
    "pwdAccountLockedTime": (
        lambda value, _: value == _LOCKED_FOR_GOOD,
        "the account is locked by an administrator",
    ),
    "pwdReset": (lambda value, _: value.upper() == "TRUE", "the password must be changed"),
    "pwdEndTime": (_has_ended, "the account has expired"),
    "nsAccountLock": (lambda value, _: value.upper() == "TRUE", "the account is disabled"),
}
"""What says that somebody may not log in, whatever the password: Active Directory, password policies
(draft-behera-ldap-password-policy §5.3) and 389 Directory Server. A lock that wrong passwords brought about
is not here: whoever knows a name could end its sessions."""


def barred(entry: Entry, now: datetime) -> str:
    """Why this person may not log in; empty where nothing says so."""
    for attribute, (bars, meaning) in BARRING.items():
        for value in entry.values(attribute):
            with suppress(ValueError, OverflowError):
                if bars(value.decode(), now):
                    return meaning
    return ""


def identifier(attribute: str, value: bytes) -> str:
    """An identifier as text: Active Directory's objectGUID as the UUID it is, other octets in hexadecimal."""
    if attribute.lower() == _GUID and len(value) == 16:
        return str(uuid.UUID(bytes_le=value))
    return text(value) or value.hex()


def octets(attribute: str, written: str) -> Iterator[bytes]:
    """The values of which `identifier` may have made this text."""
    if attribute.lower() == _GUID:
        with suppress(ValueError):
            yield uuid.UUID(written).bytes_le
    yield written.encode()
    with suppress(ValueError):
        yield bytes.fromhex(written)


def claims_of(mapping: Mapping[str, str], entry: Entry) -> Sequence[tuple[str, str]]:
    """Claims from attributes; several values are separated by commas, in the order of the alphabet."""
    found = []
    for claim, attribute in mapping.items():
        texts = sorted(filter(None, map(text, entry.values(attribute))))
        if texts:
            found.append((claim, ",".join(texts)))
    return found


def text(value: bytes) -> str:
    """UTF-8 text without control characters; empty for anything else."""
    try:
        found = value.decode()
    except UnicodeDecodeError:
        return ""
    return found if found.isprintable() else ""
