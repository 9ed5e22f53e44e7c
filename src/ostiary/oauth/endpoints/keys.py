"""The internal REST API of signing keys: /api/oauth/v1/keys."""

from typing import Annotated, NotRequired

from fastapi import Body
from pydantic import BaseModel, ConfigDict, StrictBool
from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.oauth.authorization_server import AuthorizationServer
from ostiary.oauth.keys import SigningKey, organization_keys
from ostiary.oauth.model import KeyState
from ostiary.permissions import GuardedRouter, needs, organization

PREFIX = "/api/oauth/v1/keys"
_PERMISSION = "/permission/admin/manage/identity/keystoremgt"


class RotateBody(BaseModel):
    """How to rotate. `now` is for compromise: every other key is withdrawn and its JWTs die."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    now: StrictBool = False


class KeyDocument(TypedDict):
    """A signing key; of an announced one when it signs, of a retiring one until when it is published."""

    kid: str
    state: KeyState
    algorithm: str
    signs_from: NotRequired[str]
    published_until: NotRequired[str]


class SigningKeysDocument(TypedDict):
    """Every key of the organization."""

    keys: list[KeyDocument]


def router(server: AuthorizationServer) -> GuardedRouter:
    """List and rotate the signing keys of the URL's organization."""
    guarded = GuardedRouter(PREFIX, tags=["Keys"])

    @guarded.get("", access=needs(f"{_PERMISSION}/view", "internal_keystore_view"))
    async def list_all(request: Request) -> SigningKeysDocument:
        """The organization's keys, their states and when each next changes."""
        here = organization(request).id
        found = await server.database.read(lambda connection: organization_keys(connection, here))
        return {"keys": [_present(key) for key in found]}

    @guarded.post("/rotate", access=needs(f"{_PERMISSION}/update", "internal_keystore_update"))
    async def rotate(
        request: Request, body: Annotated[RotateBody | None, Body()] = None
    ) -> SigningKeysDocument:
        """Announce the next key, or with `now` replace every key at once. Announcing twice announces one."""
        here, immediately = organization(request).id, body is not None and body.now

        def unit(connection: Connection) -> list[SigningKey]:
            server.keys.rotate(connection, here, server.clock(), immediately=immediately)
            return organization_keys(connection, here)

        return {"keys": [_present(key) for key in await server.database.write(unit)]}

    return guarded


def _present(key: SigningKey) -> KeyDocument:
    shown: KeyDocument = {"kid": key.kid, "state": key.state, "algorithm": key.public_jwk["alg"]}
    if key.state == "announced":
        shown["signs_from"] = key.signs_from.isoformat()
    if key.state == "retiring":
        shown["published_until"] = key.needed_until.isoformat()
    return shown
