"""Filters with places, as they are for nobody in particular."""

import pytest

from ostiary.identity.user_stores.ldap.filters import FilterTemplate


@pytest.mark.parametrize(
    ("text", "for_anybody"),
    [
        ("(member={dn})", "(member=*)"),
        ("(&(objectClass=group)(member={dn}))", "(&(objectClass=group)(member=*))"),
        ("(|(member={dn})(memberUid={username}))", "(|(member=*)(memberUid=*))"),
        ("(member:1.2.840.113556.1.4.1941:={dn})", "(member=*)"),
        ("(:dn:caseExactMatch:={dn})", "(objectClass=*)"),
        ("(memberUid=*{username}*)", "(memberUid=*)"),
        ("(&(member={dn})(!(owner={dn})))", "(&(member=*)(objectClass=*))"),
        ("(&(member={dn})(!(cn=old)))", "(&(member=*)(!(cn=old)))"),
        ("(priority>={username})", "(priority=*)"),
    ],
)
def test_for_anybody_a_filter_finds_no_less_than_for_somebody(text: str, for_anybody: str):
    """Otherwise a look-alike could hide from the search for everything that bears a name."""
    assert FilterTemplate(text).for_anybody().asText() == for_anybody  # type: ignore[attr-defined]
