"""Assertions that clients bring: an identity provider's word for somebody, in place of a password.

The word is read and verified before any transaction; in the one that uses it, the provider has to be as it
was read, the assertion new, and the person somebody who may go on.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.telemetry import get_logger
from ostiary.identity.belonging import bounded, see_user
from ostiary.identity.errors import LoginUnavailable
from ostiary.identity.identity_providers.contract import Asserted, AssertionRefused
from ostiary.identity.identity_providers.saml.assertion import Circumstances, judge
from ostiary.identity.identity_providers.saml.settings import SAMLSettings
from ostiary.identity.identity_providers.saml.signature import parse, signed
from ostiary.identity.model import AuthenticatedUser, UserStoreSettings
from ostiary.identity.repository import redeemed_assertions, user_stores
from ostiary.identity.standing import check_standing
from ostiary.organizations import Organization

_log = get_logger(__name__)
Result = TypeVar("Result")
Vouched = Callable[[Connection], Callable[[AuthenticatedUser, datetime], Result]]
"""What an assertion is for, as `Continuation`; it is told when the assertion is over, too."""
_REMEMBERED: Final = timedelta(minutes=5)
"""How long one that nobody takes any more is known: its provider may be granted more skew meanwhile."""


@dataclass(frozen=True, slots=True)
class Expected:
    """For whom an assertion has to be, besides what a provider's own settings say.

    `names` are ours as an audience, `recipients` the addresses it may be meant to be brought to.
    """

    names: frozenset[str]
    recipients: frozenset[str]


class Assertions:
    """Takes assertions for every organization."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def redeem(
        self,
        organization: Organization,
        text: str,
        expected: Expected,
        asks: Callable[[str], bool],
        then: Vouched[Result],
    ) -> Result:
        """Find who a SAML assertion is about, and do `then` in the transaction that uses it up.

        `asks`: whether people of the identity provider of that name are wanted.

        Raises:
            AssertionRefused: it is not good, not for us, over or used already, or its user may not log in.
            LoginUnavailable: the provider's settings have just changed.
        """
        try:
            provider, asserted = await self._verified(organization, text, expected, asks)
            return await self._database.write(
                lambda connection: self._use(connection, provider, asserted, then), brief=True
            )
        except AssertionRefused as refusal:
            _log.info("assertion_refused", organization=organization.name, reason=refusal.reason)
            raise

    async def _verified(
        self, organization: Organization, text: str, expected: Expected, asks: Callable[[str], bool]
    ) -> tuple[UserStoreSettings, Asserted]:
        chain = await self._database.glance(lambda c: user_stores.chain(c, organization.id))
        providers = [one for one in chain if one.type == "saml" and one.options.enabled and asks(one.name)]
        return await asyncio.to_thread(_judged, text, providers, expected, self._clock())

    def _use(
        self,
        connection: Connection,
        provider: UserStoreSettings,
        asserted: Asserted,
        then: Vouched[Result],
    ) -> Result:
        here, now = provider.organization_id, self._clock()
        current = user_stores.by_id(connection, here, provider.id)
        if current is None or current.revision != provider.revision:
            raise LoginUnavailable
        record = bounded(asserted.record)
        if not provider.takes(record.username):
            raise AssertionRefused("a user name that the identity provider is trusted with was expected")
        if not redeemed_assertions.add(
            connection, here, asserted.issuer, asserted.id, asserted.ends_at + _REMEMBERED
        ):
            raise AssertionRefused("the assertion has been used already")
        user = see_user(connection, here, provider.id, provider.name, record, now)
        go_on = then(connection)
        standing = check_standing(connection, here, user.subject.id, self._clock)
        if standing.problem is not None:
            raise AssertionRefused("the user may not log in", f"the user is {standing.problem}")
        return go_on(user, asserted.ends_at)


def forget_redeemed(connection: Connection, now: datetime, at_most: int = 500) -> int:
    """Forget used assertions whose time is over, up to `at_most`; returns how many went."""
    return redeemed_assertions.remove_ended(connection, now, at_most)


def _judged(
    text: str, providers: Sequence[UserStoreSettings], expected: Expected, now: datetime
) -> tuple[UserStoreSettings, Asserted]:
    """Read an assertion and hold it against the first of these providers that it says it is of."""
    unverified = parse(text)
    for provider in providers:
        settings = SAMLSettings.read(provider.settings)
        if settings.entity_id != unverified.issuer:
            continue
        also, skew = frozenset(settings.aliases), timedelta(seconds=settings.clock_skew_seconds)
        here = Circumstances(expected.names | also, expected.recipients | also, now, skew)
        whole = signed(unverified, settings.keys(), now)
        return provider, judge(whole, settings, here, case_sensitive=provider.case_sensitive)
    raise AssertionRefused("the Issuer is no identity provider whose users this client takes")
