"""What an identity provider's assertion comes to, whatever its form."""

from dataclasses import dataclass
from datetime import datetime

from ostiary.identity.user_stores.contract import UserRecord


@dataclass(frozen=True, slots=True)
class Asserted:
    """Somebody whom a provider has vouched for. `id` names the assertion among its `issuer`'s, for one use.

    `ends_at` is when nobody takes the assertion any more, by our clock.
    """

    issuer: str
    id: str
    record: UserRecord
    ends_at: datetime


class AssertionRefused(Exception):
    """The assertion is not good. The text says to the client's developer what was expected; nothing secret.

    `reason` is for the log, where that may say more.
    """

    def __init__(self, text: str, reason: str = "") -> None:
        super().__init__(text)
        self.reason = reason or text
