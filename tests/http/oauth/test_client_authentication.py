"""Who the client is, and which organization's (RFC 6749 §2.3, §3.2.1)."""

import base64

import pytest
from pydantic import SecretStr
from tests.http.oauth.installation import SECRET, Installation

UNKNOWN = {"error": "invalid_client", "error_description": "client authentication failed"}


async def test_the_secret_may_be_in_the_body(installation: Installation):
    """RFC 6749 §2.3.1."""
    await installation.a_client()

    answer = await installation.token(
        None, grant_type="client_credentials", client_id="mobile", client_secret=SECRET
    )

    assert answer.status_code == 200


async def test_the_halves_of_basic_are_form_encoded(installation: Installation):
    """RFC 6749 §2.3.1, appendix B."""
    await installation.a_client(secret=SecretStr("50% of+this: a secret"))
    value = base64.b64encode(b"mobile:50%25+of%2Bthis%3A+a+secret").decode()

    answer = await installation.http.post(
        "/oauth2/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": f"bAsIc {value}"},
    )

    assert answer.status_code == 200


@pytest.mark.parametrize("secret", ["a+b", "50%25", "100%", "a=b/c+d=="])
async def test_a_client_that_does_not_encode_is_understood(installation: Installation, secret: str):
    """`curl -u` and most libraries send the secret as it is, whatever RFC 6749 §2.3.1 says."""
    await installation.a_client(secret=SecretStr(secret))
    value = base64.b64encode(f"mobile:{secret}".encode()).decode()

    answer = await installation.http.post(
        "/oauth2/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": f"Basic {value}"},
    )

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("client_id", "secret"),
    [
        ("mobile", "wrong"),
        ("nobody", SECRET),
        ("mobile", ""),
        ("", ""),
        ("m\0bile", SECRET),
        ("öäü", SECRET),
        ("public", SECRET),
        ("gone", SECRET),
    ],
)
async def test_nobody_can_find_out_which_client_ids_exist(
    installation: Installation, client_id: str, secret: str
):
    """RFC 6749 §5.2: unknown, wrong, disabled and public-with-a-secret read the same."""
    await installation.a_client()
    await installation.a_client("public", is_public=True, grant_types=frozenset())
    await installation.a_client("gone", is_disabled=True)
    value = base64.b64encode(f"{client_id}:{secret}".encode()).decode()

    answer = await installation.http.post(
        "/oauth2/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": f"Basic {value}"},
    )

    assert (answer.status_code, answer.json()) == (401, UNKNOWN)
    assert answer.headers["www-authenticate"] == 'Basic realm="ostiary", charset="UTF-8"'


@pytest.mark.parametrize(
    "value", ["Basic", "Basic ???", "Basic bW9iaWxl", "Basic /w==", "Bearer x", "Basic JWZmOng="]
)
async def test_malformed_client_credentials_are_401(installation: Installation, value: str):
    answer = await installation.http.post(
        "/oauth2/token", data={"grant_type": "client_credentials"}, headers={"Authorization": value}
    )

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_two_methods_of_client_authentication_are_one_too_many(installation: Installation):
    """RFC 6749 §2.3."""
    await installation.a_client()

    answer = await installation.token(grant_type="client_credentials", client_secret=SECRET)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_at_an_unprefixed_url_the_organization_is_the_clients(installation: Installation):
    await installation.a_client()

    answer = await installation.token(grant_type="client_credentials", path="/t/my_company/token")

    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/t/default/oauth2/token", "/t/nowhere/oauth2/token", "/t/a%00b/token"])
async def test_under_another_organization_the_client_is_unknown(installation: Installation, path: str):
    """Design of organizations: tenant isolation."""
    await installation.a_client()

    answer = await installation.token(grant_type="client_credentials", path=path)

    assert (answer.status_code, answer.json()) == (401, UNKNOWN)


async def test_a_secret_in_the_url_is_refused(installation: Installation):
    """RFC 6749 §2.3.1."""
    await installation.a_client()

    answer = await installation.token(grant_type="client_credentials", path=f"/token?client_secret={SECRET}")

    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_request",
        "error_description": "client_secret must be in the body, not in the URL",
    }
