"""What an entry of a directory says of a person besides a password."""

from datetime import UTC, datetime

import pytest

from ostiary.identity.user_stores.ldap.client import Entry
from ostiary.identity.user_stores.ldap.entries import barred, identifier, octets
from ostiary.identity.user_stores.ldap.filters import FilterTemplate, one_of

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
IN_2020 = "132223104000000000"
IN_2040 = "138534624000000000"


@pytest.mark.parametrize(
    ("attribute", "value", "meaning"),
    [
        ("userAccountControl", "512", ""),
        ("userAccountControl", "514", "the account is disabled"),
        ("userAccountControl", "66050", "the account is disabled"),
        ("userAccountControl", "66048", ""),
        ("accountExpires", "0", ""),
        ("accountExpires", "9223372036854775807", ""),
        ("accountExpires", "9223372036854775806", ""),
        ("accountExpires", IN_2020, "the account has expired"),
        ("accountExpires", IN_2040, ""),
        ("msDS-User-Account-Control-Computed", "0", ""),
        ("msDS-User-Account-Control-Computed", "16", ""),  # locked by wrong passwords
        ("msDS-User-Account-Control-Computed", "8388608", "the password must be changed"),
        ("pwdAccountLockedTime", "000001010000Z", "the account is locked by an administrator"),
        ("pwdAccountLockedTime", "20261130115900Z", ""),  # by wrong passwords
        ("pwdReset", "TRUE", "the password must be changed"),
        ("pwdReset", "FALSE", ""),
        ("pwdEndTime", "20261130115900Z", "the account has expired"),
        ("pwdEndTime", "20301130115900Z", ""),
        ("nsAccountLock", "true", "the account is disabled"),
        ("nsAccountLock", "FALSE", ""),
        ("userAccountControl", "\ufffd", ""),
        ("accountExpires", "9" * 30, ""),
        ("pwdEndTime", "never", ""),
        ("description", "514", ""),
    ],
)
def test_an_entry_says_whether_its_person_may_log_in(attribute: str, value: str, meaning: str):
    """draft-behera-ldap-password-policy §5.3. A lock by wrong passwords is none: anybody can cause it."""
    assert barred(Entry("uid=x", {attribute.lower(): [value.encode()]}), NOW) == meaning


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("objectGUID", bytes(range(16))),
        ("objectGUID", b"abcdefghijklmnop"),
        ("objectSid", b"\x01\x05\x00\xff"),
        ("entryUUID", b"7b7a5b7e-0000-103f-8000-000000000001"),
        ("employeeNumber", b"00ff"),
    ],
)
def test_an_identifier_is_found_again_by_its_text(attribute: str, value: bytes):
    assert value in list(octets(attribute, identifier(attribute, value)))


@pytest.mark.parametrize(
    ("text", "anybody"),
    [
        ("(uid={username})", "(uid=*)"),
        ("(&(objectClass=person)(uid={username}))", "(&(objectClass=person)(uid=*))"),
        ("(|(uid={username})(mail={username}@x.example))", "(|(uid=*)(mail=*))"),
        ("(mail={username}*)", "(mail=*)"),
        ("(cn:2.5.13.2:={username})", "(cn=*)"),
        ("(:2.5.13.2:={username})", "(objectClass=*)"),
        ("(&(uid={username})(!(nick={username})))", "(&(uid=*)(objectClass=*))"),
        ("(&(uid={username})(!(locked=TRUE)))", "(&(uid=*)(!(locked=TRUE)))"),
    ],
)
def test_a_filter_without_a_name_finds_whoever_it_finds_by_some_name(text: str, anybody: str):
    made = FilterTemplate(text).for_anybody()

    assert made.toWire() == FilterTemplate(anybody).filled().toWire()


def test_octets_are_compared_as_they_are():
    """RFC 4515 is for text: nothing of a value is read as a filter."""
    made = one_of("objectGUID", [b")(\x00*"], among=FilterTemplate("(uid=*)").filled())

    assert made.toWire() == FilterTemplate(r"(&(|(objectGUID=\29\28\00\2a))(uid=*))").filled().toWire()
