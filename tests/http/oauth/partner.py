"""A SAML identity provider at an installation, and clients that bring its assertions."""

from dataclasses import replace
from typing import Any

import httpx2
from tests.http.oauth.installation import ALL_GRANTS, NOON, PUBLIC_URL, Installation
from tests.support.identity import BOX
from tests.support.saml import ENTITY, GRANT, Said, SAMLIssuer

from ostiary.identity import StoreOptions, UserStoreSpec, put_user_store, read_user_store_settings

ISSUER = f"{PUBLIC_URL}/t/my_company"
TOKEN_URL = f"{ISSUER}/oauth2/token"
IDP = SAMLIssuer(now=NOON)
OTHER = SAMLIssuer(now=NOON)


def said(**changed: Any) -> Said:
    return replace(Said(NOON, ISSUER, TOKEN_URL), **changed)


async def a_provider(
    on: Installation, name: str = "PARTNER", options: StoreOptions | None = None, **settings: Any
) -> None:
    whole = {"entity_id": ENTITY, "certificates": [IDP.pem], **settings}
    spec = UserStoreSpec(
        on.organization.id, name, "saml", read_user_store_settings("saml", whole), options or StoreOptions()
    )
    await on.database.write(lambda c: put_user_store(c, spec, BOX))


async def a_client(on: Installation, **spec: Any) -> str:
    return await on.a_client(**{"grant_types": ALL_GRANTS | {GRANT}, **spec})


async def redeem(on: Installation, assertion: str, **form: str) -> httpx2.Response:
    return await on.token(grant_type=GRANT, assertion=assertion, **form)


async def refused(on: Installation, assertion: str) -> str:
    answer = await redeem(on, assertion)
    body = answer.json()
    assert (answer.status_code, body["error"]) == (400, "invalid_grant"), answer.text
    return str(body["error_description"])
