"""The pure scope rule (RFC 6749 §3.3)."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.oauth import Client, ScopeSpec, TokenFormat, Validity, is_scope_token
from ostiary.oauth.model import entitled_scopes, grant_scope, narrow_scope
from ostiary.oauth.scopes import parse_scope
from ostiary.oauth.settings import TokenSettings

VIEW, LIST = "internal_identity_mgt_view", "internal_user_mgt_list"
DEFAULT = frozenset({"default"})
SCOPES = st.frozensets(st.sampled_from(["a", "b", "c", "default", "SYSTEM", "openid", "internal_x"]))


def a_client(scopes: frozenset[str] | None = None, default_scope: frozenset[str] = frozenset()) -> Client:
    return Client(
        client_id="mobile",
        organization_id="1",
        name="mobile",
        secret_fingerprint=None,
        grant_types=frozenset(),
        token_format=TokenFormat.JWT,
        scopes=scopes,
        default_scope=default_scope,
        strict_scopes=False,
        internal_scopes=True,
        is_public=False,
        is_disabled=False,
        access_token_lifetime=None,
        refresh_token_lifetime=None,
        validity=Validity.FIXED,
        user_stores=None,
    )


@pytest.mark.parametrize(
    ("requested", "own_list", "default_scope", "entitled", "granted"),
    [
        (None, None, "", "a b", "default"),
        (None, None, "a", "a b", "a"),
        (None, None, "a", "b", "default"),
        ("", None, "a", "a", "default"),
        ("a", None, "b", "a b", "a"),
        ("a b", None, "", "b c", "b"),
        ("a b", "a", "", "a b", "a"),
        ("c", "a", "", "c", "default"),
        ("default", None, "", "a", "default"),
        ("default a", None, "", "a", "a"),
        ("openid SYSTEM internal_x", None, "", "openid SYSTEM internal_x", "default"),
        ("a openid", "a openid", "", "a openid", "a"),
        (f"{VIEW} a", None, "", f"a {VIEW} {LIST}", f"a {VIEW}"),
        ("SYSTEM a", None, "", f"a {VIEW} {LIST}", f"a {VIEW} {LIST}"),
        ("SYSTEM", None, "", "a", "default"),
        ("SYSTEM", f"a {LIST}", "", f"a {VIEW} {LIST}", LIST),
        ("SYSTEM", "a SYSTEM", "", f"a {VIEW}", VIEW),
        (None, None, "SYSTEM", f"a {VIEW}", VIEW),
    ],
)
def test_a_scope_is_what_is_asked_registered_and_entitled(
    requested: str | None, own_list: str | None, default_scope: str, entitled: str, granted: str
):
    client = a_client(
        None if own_list is None else frozenset(own_list.split()), frozenset(default_scope.split())
    )
    asked = None if requested is None else frozenset(requested.split())

    assert grant_scope(asked, client, frozenset(entitled.split())) == frozenset(granted.split())


@given(SCOPES | st.none(), SCOPES | st.none(), SCOPES, SCOPES)
def test_nothing_is_granted_beyond_any_of_its_bounds(
    requested: frozenset[str] | None,
    own_list: frozenset[str] | None,
    default_scope: frozenset[str],
    entitled: frozenset[str],
):
    granted = grant_scope(requested, a_client(own_list, default_scope), entitled)

    assert granted
    if granted != DEFAULT:
        assert granted <= entitled
        assert granted <= (default_scope if requested is None else requested)
        assert own_list is None or granted <= own_list
        assert not {"default", "SYSTEM", "openid", "internal_x"} & granted


@given(SCOPES, SCOPES | st.none())
def test_a_refresh_is_never_wider(original: frozenset[str], requested: frozenset[str] | None):
    """RFC 6749 §6."""
    assert narrow_scope(original, requested) <= original


@pytest.mark.parametrize(
    ("spec", "roles", "may"),
    [
        (ScopeSpec("a"), {"clerk"}, False),
        (ScopeSpec("a"), set(), False),
        (ScopeSpec("a", everyone=True), set(), True),
        (ScopeSpec("a", roles=frozenset({"clerk", "boss"})), {"boss"}, True),
        (ScopeSpec("a", roles=frozenset({"clerk"})), {"Clerk"}, False),
        (ScopeSpec("a", roles=frozenset({"clerk"})), set(), False),
    ],
)
def test_no_binding_means_nobody(spec: ScopeSpec, roles: set[str], may: bool):
    assert entitled_scopes({"a": spec}, frozenset(roles)) == (frozenset({"a"}) if may else frozenset())


@given(st.text(max_size=20))
def test_a_scope_token_is_visible_ascii_without_quote_and_backslash(text: str):
    """RFC 6749 §3.3."""
    allowed = bool(text) and all("!" <= letter <= "~" and letter not in '"\\' for letter in text)

    assert is_scope_token(text) == allowed


@given(st.none() | st.text(max_size=60))
def test_parsing_a_scope_gives_tokens_or_says_why_not(text: str | None):
    try:
        parsed = parse_scope(text)
    except ValueError:
        return
    assert parsed is None if text is None else all(map(is_scope_token, parsed or ()))


def test_an_access_token_does_not_outlive_what_may_be_asked_for():
    with pytest.raises(ValueError, match="validity_period_max"):
        TokenSettings(access_token_lifetime=timedelta(days=2), validity_period_max=timedelta(days=1))


def test_internal_scopes_are_for_clients_that_an_administrator_has_marked():
    client = replace(a_client(), internal_scopes=False)

    assert grant_scope(frozenset({VIEW, "a"}), client, frozenset({VIEW, "a"})) == {"a"}
    assert grant_scope(frozenset({"SYSTEM"}), client, frozenset({VIEW, "a"})) == DEFAULT
