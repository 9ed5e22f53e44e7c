"""Old minimum epochs: nothing good is below them, so one of the whole organization stands for them."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from ostiary.oauth.repository import clients as repository
from ostiary.oauth.settings import TokenSettings
from ostiary.organizations import fold_minimums

_CLOCKS_DIFFER: Final = timedelta(hours=1)


def fold_old_minimums(
    connection: Connection, organization_id: str, settings: TokenSettings, now: datetime
) -> int:
    """Fold minimums that are older than any access token may be; returns how many, again until it is 0.

    Nobody else carries an epoch: a refresh reads it anew, an API key ends by its own row. Where a client's
    lifetime was shortened, those of its tokens that outlive every one issued since may end early.
    """
    own, unlimited = repository.longest_lifetimes(connection, organization_id)
    longest = max(settings.access_token_lifetime, settings.validity_period_max, own or timedelta(0))
    if unlimited:
        longest = max(longest, settings.unlimited_lifetime)
    return fold_minimums(connection, organization_id, now, longest + _CLOCKS_DIFFER)
