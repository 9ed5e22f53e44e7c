"""A SAML identity provider where a user store is tested: nobody is asked, and no password is taken."""

from __future__ import annotations

from cryptography import x509
from pydantic import SecretStr

from ostiary.foundation.certificates import fingerprint
from ostiary.foundation.clock import Clock
from ostiary.identity.identity_providers.saml.settings import SAMLSettings
from ostiary.identity.user_stores.contract import KnownUser, StoreUnavailable, UserRecord
from ostiary.identity.user_stores.steps import note
from ostiary.identity.user_stores.surroundings import Surroundings


class SAMLProvider:
    """What there is to see of a provider that nobody asks: its certificates."""

    def __init__(self, certificates: tuple[x509.Certificate, ...], clock: Clock) -> None:
        self._certificates = certificates
        self._clock = clock

    async def authenticate(self, _username: str, _password: SecretStr) -> UserRecord | None:
        """See `LoginService`. It knows nobody by a password."""
        return None

    async def look_up(self, _user: KnownUser) -> UserRecord | None:
        """See `LoginService`."""
        raise StoreUnavailable("an identity provider is asked about nobody")

    async def probe(self) -> None:
        """See `LoginService`: whether one of its certificates is valid now."""
        now, good = self._clock(), 0
        for one in self._certificates:
            begins, ends = one.not_valid_before_utc, one.not_valid_after_utc
            note("certificate", sha256=fingerprint(one), valid_until=ends.isoformat())
            good += begins <= now <= ends
        if not good:
            raise StoreUnavailable("none of its certificates is valid now: ask the provider for its new one")

    async def close(self) -> None:
        """See `LoginService`."""


def make_saml(settings: SAMLSettings, around: Surroundings) -> SAMLProvider:
    """What is tested of a SAML identity provider."""
    return SAMLProvider(settings.keys(), around.clock)
