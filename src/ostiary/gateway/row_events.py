"""What gateway nodes know the rows of other slices as, for whoever deletes an organization's."""

from collections.abc import Mapping
from typing import Final

from ostiary.gateway.plan import Kind

ROWS_IN_THE_PLAN: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "apis": (Kind.API, ("id",)),
    "api_keys": (Kind.API_KEY, ("sha256",)),
    "applications": (Kind.APPLICATION, ("id",)),
    "clients": (Kind.CLIENT, ("client_id",)),
    "deny_policies": (Kind.DENIAL, ("id",)),
    "epoch_minimums": (Kind.EPOCH, ("kind", "key")),
    "plans": (Kind.PLAN, ("id",)),
    "revocations": (Kind.REVOCATION, ("id",)),
    "signing_keys": (Kind.KEY, ("kid",)),
    "subscriptions": (Kind.SUBSCRIPTION, ("id",)),
}
"""Table → the topic of the event about a row, and the columns that name the row in it."""
