"""Signing keys of organizations: announced → active → retiring (RFC 7517, RFC 9068 §4).

A key is announced for longer than the JWKS may be cached, and signs only when every live gateway
node has acknowledged it: so nobody who verifies ever meets a key it could not know. Promotion has
no schedule of its own; whoever looks when it is due does it, in one conditional UPDATE.
Private keys are sealed at rest. The cache below holds what never changes under its key id.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from joserfc.jwk import ECKey
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ostiary.foundation import audit
from ostiary.foundation.events import Event, record
from ostiary.foundation.secrets import SecretBox
from ostiary.oauth.model import KeyState
from ostiary.oauth.repository import keys as repository
from ostiary.oauth.repository.keys import SigningKey
from ostiary.oauth.settings import TokenSettings
from ostiary.oauth.tokens.jwt import ALGORITHM, sign_jwt

__all__ = [
    "Acknowledged",
    "Keys",
    "PublicKey",
    "ReadyKey",
    "SigningKey",
    "find_public_key",
    "organization_keys",
    "public_keys",
    "published_keys",
]

_MARGIN = timedelta(seconds=10)
_DAY = timedelta(days=1)
_CACHED = 1_024

Acknowledged = Callable[[Connection, str], bool]
"""Whether every live gateway node knows the key of that id."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What everybody may know of a signing key."""

    kid: str
    organization_id: str
    jwk: Mapping[str, str]
    state: KeyState


@dataclass(frozen=True, slots=True)
class ReadyKey:
    """The key that signs, and from when on it has to be asked again whether another one does."""

    key: SigningKey
    until: datetime | None


class Keys:
    """Makes, rotates and uses signing keys."""

    def __init__(
        self,
        box: SecretBox,
        settings: TokenSettings,
        acknowledged: Acknowledged,
    ) -> None:
        self._box = box
        self._settings = settings
        self._acknowledged = acknowledged
        self._private_key = lru_cache(_CACHED)(self._open)

    def ready_key(self, connection: Connection, organization_id: str, now: datetime) -> ReadyKey | None:
        """The key that signs, where nothing needs to be written first; otherwise None."""
        known = repository.of_organization(connection, organization_id)
        if not known[KeyState.ACTIVE] or self._due(connection, known, now) is not None:
            return None
        coming = [key.signs_from for key in known[KeyState.ANNOUNCED]]
        return ReadyKey(known[KeyState.ACTIVE][0], min(coming, default=None))

    def signing_key(self, connection: Connection, organization_id: str, now: datetime) -> SigningKey:
        """The key that signs now: made at first use, promoted when due. Takes a write transaction."""
        with audit.acting(audit.Origin):  # whoever's token it is made for did not ask for a key
            known = self.tend(connection, organization_id, now)
            if known[KeyState.ACTIVE]:
                return known[KeyState.ACTIVE][0]
            return self._add(connection, organization_id, KeyState.ACTIVE, signs_from=now)

    def rotate(
        self, connection: Connection, organization_id: str, now: datetime, *, immediately: bool = False
    ) -> SigningKey:
        """Announce the next key and return it; while one is announced, that one.

        `immediately` is for compromise: every other key of the organization is withdrawn, so all
        its JWTs die, and the new one signs at once. Refresh tokens live on.
        """
        if immediately:
            self._withdraw_all(connection, organization_id)
            return self._add(connection, organization_id, KeyState.ACTIVE, signs_from=now)
        self.signing_key(connection, organization_id, now)
        announced = repository.of_organization(connection, organization_id)[KeyState.ANNOUNCED]
        if announced:
            return announced[0]
        signs_from = now + self._settings.jwks_max_age + _MARGIN
        return self._add(connection, organization_id, KeyState.ANNOUNCED, signs_from)

    def tend(
        self, connection: Connection, organization_id: str, now: datetime
    ) -> Mapping[KeyState, list[SigningKey]]:
        """Do what is due: promote the announced key, remove retiring keys nobody needs. Idempotent.

        Returns the keys as they are then.
        """
        known = repository.of_organization(connection, organization_id)
        due = self._due(connection, known, now)
        over = [key for key in known[KeyState.RETIRING] if key.needed_until <= now]
        if due is None and not over:
            return known
        if due is not None:
            self._promote(connection, known[KeyState.ACTIVE], due, now)
        for key in over:
            if repository.remove(connection, key):
                record(connection, _news(key))
        return repository.of_organization(connection, organization_id)

    def lasts_until(self, key: SigningKey, until: datetime, now: datetime) -> bool:
        """Whether `key` is published at least until then, whatever happens to it meanwhile."""
        return until <= now + self._settings.access_token_lifetime or until <= key.needed_until

    def keep_until(self, connection: Connection, key: SigningKey, until: datetime, now: datetime) -> None:
        """Publish `key` as long as a token it is about to sign lives; written at most once a day."""
        if not self.lasts_until(key, until, now):
            repository.keep_until(connection, key, until + _DAY)

    def sign(self, key: SigningKey, claims: Mapping[str, Any]) -> str:
        """A signed access token (RFC 9068)."""
        private_key = self._private_key(key.kid, key.private_sealed)
        return sign_jwt(private_key, {"alg": ALGORITHM, "typ": "at+jwt", "kid": key.kid}, claims)

    def _due(
        self, connection: Connection, known: Mapping[KeyState, list[SigningKey]], now: datetime
    ) -> SigningKey | None:
        for key in known[KeyState.ANNOUNCED]:
            if key.signs_from <= now and self._acknowledged(connection, key.kid):
                return key
        return None

    def _promote(
        self, connection: Connection, active: list[SigningKey], announced: SigningKey, now: datetime
    ) -> None:
        """Retire first: at most one key of an organization is active."""
        until = now + self._settings.access_token_lifetime + _MARGIN
        for key in active:
            if not repository.move(connection, key, KeyState.RETIRING, until):
                return  # another worker has been here since we looked
            record(connection, _news(key))
        if repository.move(connection, announced, KeyState.ACTIVE, until):
            record(connection, _news(announced))
            old, new = {"state": announced.state}, {"state": KeyState.ACTIVE}
            audit.note(connection, announced.organization_id, "key", announced.kid, old, new)

    def _withdraw_all(self, connection: Connection, organization_id: str) -> None:
        for keys in repository.of_organization(connection, organization_id).values():
            for key in keys:
                if repository.remove(connection, key):
                    record(connection, _news(key))
                    audit.note(connection, organization_id, "key", key.kid, {"state": key.state}, None)

    def _add(
        self, connection: Connection, organization_id: str, state: KeyState, signs_from: datetime
    ) -> SigningKey:
        """Write a new key; where another worker wrote one of this state first, that one is returned."""
        key = self._generate(organization_id, state, signs_from)
        try:
            with connection.begin_nested():
                repository.add(connection, key)
        except IntegrityError:
            return repository.of_organization(connection, organization_id)[state][0]
        record(connection, _news(key))
        audit.note(connection, organization_id, "key", key.kid, None, {"state": state})
        return key

    def _generate(self, organization_id: str, state: KeyState, signs_from: datetime) -> SigningKey:
        private_key = ec.generate_private_key(ec.SECP256R1())
        jwk = ECKey.import_key(private_key)
        kid = jwk.thumbprint()  # RFC 7638: two different keys never share an id
        public = {name: str(value) for name, value in jwk.as_dict(private=False).items()}
        der = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return SigningKey(
            kid=kid,
            organization_id=organization_id,
            state=state,
            public_jwk=public | {"kid": kid, "use": "sig", "alg": ALGORITHM},
            private_sealed=self._box.seal(der, _sealing_context(kid)),
            signs_from=signs_from,
            needed_until=signs_from,
        )

    def _open(self, kid: str, sealed: str) -> ec.EllipticCurvePrivateKey:
        key = load_der_private_key(self._box.open(sealed, _sealing_context(kid)), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101  # only `_generate` writes this column
        return key


def public_keys(connection: Connection) -> list[PublicKey]:
    """The public halves of every organization's keys, for gateway nodes."""
    return [_public(key) for key in repository.everywhere(connection)]


def find_public_key(connection: Connection, kid: str) -> PublicKey | None:
    """One key, whatever its organization; None where it is unknown or withdrawn."""
    key = repository.find(connection, kid)
    return None if key is None else _public(key)


def organization_keys(connection: Connection, organization_id: str) -> list[SigningKey]:
    """The organization's keys: the active one, the announced, the retiring."""
    known = repository.of_organization(connection, organization_id)
    return [*known[KeyState.ACTIVE], *known[KeyState.ANNOUNCED], *known[KeyState.RETIRING]]


def published_keys(connection: Connection, organization_id: str, now: datetime) -> list[Mapping[str, str]]:
    """The JWKs of the organization (RFC 7517 §5): announced, active, and retiring while needed."""
    return [
        key.public_jwk
        for key in organization_keys(connection, organization_id)
        if key.state is not KeyState.RETIRING or key.needed_until > now
    ]


def _public(key: SigningKey) -> PublicKey:
    return PublicKey(key.kid, key.organization_id, key.public_jwk, key.state)


def _news(key: SigningKey) -> Event:
    return Event("key", key.organization_id, key.kid)


def _sealing_context(kid: str) -> str:
    return f"signing_keys:private_sealed:{kid}"
