"""The registries are complete: grants, errors, and names on the wire."""

import pytest

from ostiary.oauth import GrantType, TokenClaims, TokenHolder
from ostiary.oauth import errors as errors_module
from ostiary.oauth.errors import OAuthError, TemporarilyUnavailable
from ostiary.oauth.grants import GRANTS
from ostiary.oauth.model import audience_of, is_reserved
from ostiary.organizations import Organization, issuer_of

CODES = [
    value
    for value in vars(errors_module).values()
    if isinstance(value, type) and issubclass(value, OAuthError) and value is not OAuthError
]


def test_every_grant_type_has_its_grant():
    assert set(GRANTS) == set(GrantType)


@pytest.mark.parametrize("error", CODES, ids=lambda error: error.__name__)
def test_every_code_is_one_class(error: type[OAuthError]):
    """RFC 6749 §5.2."""
    assert [other.error for other in CODES].count(error.error) == 1
    assert error.__doc__


def test_an_outage_says_when_to_come_back():
    """RFC 9110 §10.2.3: whole seconds, never zero."""
    from datetime import timedelta

    headers = [
        TemporarilyUnavailable("later", timedelta(milliseconds=ms)).headers["Retry-After"]
        for ms in (0, 1, 1000, 1001)
    ]

    assert headers == ["1", "1", "1", "2"]


def test_the_operators_text_is_not_the_clients():
    error = errors_module.InvalidClient("client authentication failed", "disabled")

    assert (error.description, str(error)) == ("client authentication failed", "disabled")


@pytest.mark.parametrize(
    ("scope", "management"),
    [({"default"}, False), ({"orders"}, False), ({"internal_x"}, True), ({"openid"}, True)],
)
def test_the_management_audience_needs_a_scope_of_its_own(scope: set[str], management: bool):
    audience = audience_of("https://door.example", frozenset(scope))

    assert audience == (
        ["https://door.example/gateway", "https://door.example/management"]
        if management
        else "https://door.example/gateway"
    )


@pytest.mark.parametrize(("name", "expected"), [("default", ""), ("acme", "/t/acme")])
def test_an_issuer_is_the_public_url_and_the_organization(name: str, expected: str):
    """RFC 8414 §2."""
    assert (
        issuer_of("https://door.example", Organization("1", name, name)) == f"https://door.example{expected}"
    )


@pytest.mark.parametrize("name", ["default", "SYSTEM", "openid", "internal_x"])
def test_reserved_scopes_are_known(name: str):
    assert is_reserved(name)


def test_a_person_is_written_with_store_and_organization():
    from datetime import UTC, datetime

    now = datetime(2031, 1, 1, tzinfo=UTC)
    claims = TokenClaims(
        token_id="t",
        organization=Organization("1", "my_company", "My Company"),
        client_id="c",
        holder=TokenHolder.APPLICATION_USER,
        subject="s",
        scope=frozenset({"default"}),
        issued_at=now,
        expires_at=now,
        epoch=1,
        store="EXTERNAL",
        username="testuser",
    )

    assert claims.display_name() == "EXTERNAL/testuser@my_company"
