"""A client nobody here wrote: requests-oauthlib over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet
from oauthlib.oauth2 import BackendApplicationClient, LegacyApplicationClient
from oauthlib.oauth2.rfc6749.errors import InvalidClientError, InvalidGrantError, InvalidScopeError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session
from tests.http.oauth.installation import PUBLIC_URL, SECRET, Installation, an_app, an_installation
from tests.support.identity import PASSWORD
from tests.support.listening import a_listener

from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import Database


@pytest.fixture
async def served(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Installation, str]]:
    """An installation behind uvicorn on a free port, with its URL; clients have the system's clock."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    async with an_installation(sqlite_database) as installation:
        installation.clock.now = utc_now()
        listener = a_listener()
        server = uvicorn.Server(
            uvicorn.Config(an_app(installation.server), lifespan="off", log_level="warning")
        )
        task = asyncio.create_task(server.serve(sockets=[listener]))
        yield installation, f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await task


def fetch(session: OAuth2Session, url: str, **given: Any) -> dict[str, Any]:
    token: dict[str, Any] = session.fetch_token(f"{url}/oauth2/token", **given)
    return token


async def test_password_grant_and_refresh_with_basic(served: tuple[Installation, str]):
    """RFC 6749 §4.3, §6."""
    installation, url = served
    await installation.a_client()
    await installation.a_user()
    await installation.a_scope("orders:read", everyone=True)
    session = OAuth2Session(client=LegacyApplicationClient("mobile", scope=["orders:read"]))
    auth = HTTPBasicAuth("mobile", SECRET)

    first = await asyncio.to_thread(
        fetch, session, url, username="bob@my_company", password=PASSWORD, auth=auth
    )
    second = await asyncio.to_thread(session.refresh_token, f"{url}/oauth2/token", auth=auth)

    assert first["scope"] == ["orders:read"]
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]


async def test_client_credentials_in_the_body(served: tuple[Installation, str]):
    """RFC 6749 §2.3.1, §4.4."""
    installation, url = served
    await installation.a_client()
    session = OAuth2Session(client=BackendApplicationClient("mobile"))

    token = await asyncio.to_thread(
        fetch, session, f"{url}/t/my_company", client_secret=SECRET, include_client_id=True
    )

    assert token["token_type"] == "Bearer"
    assert token["expires_in"] == 3600


async def test_a_token_verifies_with_what_discovery_leads_to(served: tuple[Installation, str]):
    """RFC 8414 §3, RFC 9068 §4: metadata → JWKS → signature, as a resource server does it."""
    installation, url = served
    await installation.a_client()
    session = OAuth2Session(client=BackendApplicationClient("mobile"))
    token = await asyncio.to_thread(fetch, session, url, auth=HTTPBasicAuth("mobile", SECRET))

    async with httpx2.AsyncClient() as http:
        metadata = (await http.get(f"{url}/.well-known/oauth-authorization-server/t/my_company")).json()
        keys = (await http.get(metadata["jwks_uri"].replace(PUBLIC_URL, url))).json()
    verified = jwt.decode(token["access_token"], KeySet.import_key_set(keys), algorithms=["ES256"])

    assert verified.header["typ"] == "at+jwt"
    assert verified.claims["iss"] == metadata["issuer"]
    jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": metadata["issuer"]},
        aud={"essential": True, "value": f"{metadata['issuer']}/gateway"},
    ).validate(verified.claims)


async def test_refusals_are_understood(served: tuple[Installation, str]):
    """RFC 6749 §5.2: each code becomes the library's own exception."""
    installation, url = served
    await installation.a_client()
    await installation.a_client("strict", strict_scopes=True)
    await installation.a_user()

    def attempt(client_id: str, secret: str, password: str, scope: list[str]) -> None:
        session = OAuth2Session(client=LegacyApplicationClient(client_id, scope=scope))
        fetch(session, url, username="bob", password=password, auth=HTTPBasicAuth(client_id, secret))

    with pytest.raises(InvalidClientError):
        await asyncio.to_thread(attempt, "mobile", "wrong", PASSWORD, [])
    with pytest.raises(InvalidGrantError):
        await asyncio.to_thread(attempt, "mobile", SECRET, "wrong", [])
    with pytest.raises(InvalidScopeError):
        await asyncio.to_thread(attempt, "strict", SECRET, PASSWORD, ["unknown"])
