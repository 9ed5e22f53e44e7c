"""What a client presents: Basic and the body (RFC 6749 §2.3.1)."""

import base64
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ostiary.foundation.secrets import SecretBox
from ostiary.oauth import ClientCredentials
from ostiary.oauth.client_authentication import parse_basic, presented
from ostiary.oauth.clients import secret_is_right
from ostiary.oauth.errors import InvalidClient, InvalidRequest, OAuthError

VISIBLE = st.text(st.characters(codec="utf-8"), max_size=30)


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


@given(VISIBLE, VISIBLE)
def test_what_a_client_encodes_is_what_we_read(client_id: str, secret: str):
    """RFC 6749 §2.3.1, appendix B: each half form-encoded, so a colon in either is no matter."""
    read = parse_basic(basic(quote_plus(client_id), quote_plus(secret)))

    assert (read.client_id, read.secret) == (client_id, SecretStr(secret))


def test_a_secret_that_decoding_changes_is_kept_as_it_stood_too():
    read = parse_basic(basic("mobile", "a+b"))

    assert read == ClientCredentials("mobile", SecretStr("a b"), verbatim=SecretStr("a+b"))


@given(
    st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: "Basic " + base64.b64encode(raw).decode())
)
def test_any_header_is_credentials_or_invalid_client(header: str):
    try:
        read = parse_basic(header)
    except InvalidClient:
        return
    assert read.secret is not None


@pytest.mark.parametrize("secret", ["plain", "a:b:c", "%25"])
def test_the_first_colon_separates(secret: str):
    read = parse_basic(basic("mobile", secret))

    assert (read.client_id, read.secret) == ("mobile", SecretStr(secret.replace("%25", "%")))


ONE, OTHER = basic("mobile", "x"), basic("other", "x")


@pytest.mark.parametrize(
    ("headers", "form", "expected"),
    [
        ([ONE], {}, ClientCredentials("mobile", SecretStr("x"))),
        ([ONE], {"client_id": "mobile"}, ClientCredentials("mobile", SecretStr("x"))),
        ([], {"client_id": "mobile", "client_secret": "y"}, ClientCredentials("mobile", SecretStr("y"))),
        ([], {"client_id": "mobile"}, ClientCredentials("mobile", None)),
        ([ONE], {"client_id": "other"}, InvalidRequest),
        ([ONE], {"client_secret": "y"}, InvalidRequest),
        ([ONE], {"client_id": "mobile", "client_secret": "x"}, InvalidRequest),
        ([ONE, ONE], {}, InvalidRequest),
        ([ONE, OTHER], {}, InvalidRequest),
        ([], {}, InvalidClient),
        ([], {"client_secret": "y"}, InvalidClient),
        (["Bearer abc"], {}, InvalidClient),
        (["Basic"], {}, InvalidClient),
    ],
)
def test_one_method_of_authentication_counts(
    headers: list[str], form: dict[str, str], expected: ClientCredentials | type[OAuthError]
):
    """RFC 6749 §2.3: no more than one."""
    if isinstance(expected, ClientCredentials):
        assert presented(headers, form) == expected
    else:
        with pytest.raises(expected):
            presented(headers, form)


def test_a_secret_is_never_printed():
    assert "hush" not in repr(parse_basic(basic("mobile", "hush")))


def test_an_unknown_client_is_compared_too():
    """The comparison happens, in the same length, and never says yes: not even to the placeholder."""
    box = SecretBox(b"k" * 32)

    assert not secret_is_right(box, None, "nobody", "-" * 43)
    assert not secret_is_right(box, None, "nobody", "")
