"""What the agent decided about one credential at one API, as a map entry that `decisions.lua` reads.

A value is a head of fixed width, then fields that each end in `|`, lists inside them joined by `&`, each
part percent-encoded, so it holds no space, semicolon or backslash and the runtime API takes it as one word.
Only its scopes have commas. The assertion begins at a fixed byte, so that nobody has to look for it; the head
says where, if what comes before is longer. Numbers in the head are hexadecimal digits: those compare as the
numbers do, eight at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final, NamedTuple
from urllib.parse import quote

PERIODS: Final = ("second", "minute", "hour", "day", "month")
LONGEST_KEY: Final = 80
"""HAProxy's tables take 95 characters and cut the rest; the window's number comes after the key."""
_MORE: Final = ("burst", "bandwidth", "application")
_FORMAT: Final = "6"
_ASSERTION_AT: Final = 385
"""The byte an assertion begins at, from 1 on; as in decisions.lua."""
_HEAD: Final = 28
"""Bytes of the head."""
_LARGEST: Final = 0xFFFF_FFFE
"""Of the numbers in the head; a floor of all `f` is larger (maps.py)."""
_KEYS: Final = {"PRODUCTION": "P", "SANDBOX": "S"}
_LETTERS: Final = {"second": "s", "minute": "m", "hour": "h", "day": "d", "month": "y"}
_HOLDERS: Final = {"application": "a", "user": "u"}

AGENT_REFUSALS: Final = (
    "invalid_token",  # 401 900901: bad, expired, revoked, of another organization
    "subscription_blocked",  # 401 900907
    "subscription_inactive",  # 401 900909: waiting for approval, or rejected
    "not_subscribed",  # 403 900908
    "denied_caller",  # 403 900805: a deny policy about the user or the application
    "unavailable",  # 503 900900: only the control plane can tell, and it does not answer
)
"""What the agent may answer a miss with, besides a grant."""


class MapEntry(NamedTuple):
    """One entry of a map; as a change, `value` is `None` where the key is to be deleted."""

    map: str
    key: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Quota:
    """`requests` in each fixed clock window `per`, counted under `key`."""

    key: str
    """What is counted: the subscription id, say (at most `LONGEST_KEY` characters as encoded)."""
    requests: int
    """Of a bandwidth: kilobytes (1,024 bytes)."""
    per: str
    """One of `PERIODS`; windows begin at the start of the UTC second, minute, hour, day or month."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A grant: this credential may call this API until `expires_at`."""

    api_id: str
    credential_sha256: str
    """Lower-case hex; an API key's has a `k` before it, so no bearer token ever has the same."""
    expires_at: int
    """Seconds since 1970: the earlier of the token's expiry and the decision's."""
    epoch: int
    """The organization's epoch the token carries; refused below any minimum of the ids and scopes here."""
    organization_id: str
    subject: str
    client_id: str
    application_id: str
    key_type: str
    """PRODUCTION or SANDBOX: which backend."""
    scopes: frozenset[str]
    quota: Quota | None
    """The plan of the subscription; `None` is unlimited: not counted."""
    assertion: str
    """The signed JWT for `X-JWT-Assertion`."""
    burst: Quota | None = None
    """Of the plan, per second or minute."""
    bandwidth: Quota | None = None
    """Of the plan."""
    application: Quota | None = None
    """Of the application, for this user of it."""
    subscription_id: str = ""
    """Whose calls these are counted as; empty where none is needed."""
    holder: str = "application"
    """Whose token it is: application or user."""
    addresses: tuple[str, ...] = ()
    """Networks the calls may come from; none is all."""
    referers: tuple[str, ...] = ()
    """What the calls may name as `Referer`; none is all."""
    # What the agent's index needs and HAProxy does not; not part of the value.
    token_id: str = ""
    family: str = ""
    kid: str = ""
    plan: str = ""
    end_user: str = ""
    api_key: str = ""
    has_claims: bool = False
    """Whether the assertion has claims of the user, which may change."""
    credential_ends_at: int = 0
    """Seconds since 1970, by the node's clock: how long a stream may last that was let through."""


def shard(credential_sha256: str) -> str:
    """Name the map that holds the decisions about this credential."""
    return f"decisions-{credential_sha256[-64:-62]}.map"


def decision_key(api_id: str, credential_sha256: str) -> str:
    """Return the key of the decision about this credential at this API."""
    return f"{api_id}:{credential_sha256}"


def encode_decision(decision: Decision) -> str:
    """Write the value `decisions.lua` reads; raises `ValueError` for a period it does not know."""
    more = {name: getattr(decision, name) for name in _MORE}
    for one in (decision.quota, *more.values()):
        _check(one)
    quota = decision.quota
    special = ["&".join(f"{name}+{_written(one)}" for name, one in more.items() if one is not None)]
    special.append("&".join(_bounds(decision)))
    fields = (
        encode(decision.organization_id),
        "" if quota is None else encode(quota.key),
        "" if quota is None else str(quota.requests),
        *map(encode, (decision.api_id, decision.application_id, decision.subscription_id)),
        *special,
        "," + "".join(encode(scope) + "," for scope in sorted(decision.scopes)),
        *map(encode, (decision.subject, decision.client_id)),
    )
    body = "".join(f"{field}|" for field in fields).ljust(_ASSERTION_AT - 2 - _HEAD, "-") + "|"
    return _head(decision, _HEAD + len(body) + 1, is_special=any(special)) + body + decision.assertion


def _head(decision: Decision, assertion_at: int, *, is_special: bool) -> str:
    """Write format, end, epoch, letters, place of the assertion. Too large a number refuses sooner."""
    numbers = f"{min(decision.expires_at, _LARGEST):08x}{min(decision.epoch, _LARGEST):08x}"
    period = "-" if decision.quota is None else _LETTERS[decision.quota.per]
    letters = _KEYS.get(decision.key_type, "-") + _HOLDERS[decision.holder] + period + "-+"[is_special]
    return f"{_FORMAT}{numbers}{letters}{assertion_at:06x}|"


def _check(quota: Quota | None) -> None:
    if quota is not None and quota.per not in PERIODS:
        raise ValueError(f"a quota per {quota.per} is not known")
    if quota is not None and len(encode(quota.key)) > LONGEST_KEY:
        raise ValueError("a key that HAProxy would cut")


def _written(quota: Quota) -> str:
    return f"{encode(quota.key)}+{quota.requests}+{quota.per}"


def _bounds(decision: Decision) -> Iterator[str]:
    """Write where calls may come from: networks as prefix length and hex digits, IPv4 within ::ffff:0:0."""
    for text in decision.addresses:
        network = ip_network(text)
        mapped = network.version == 4
        address = int(network.network_address) | (0xFFFF << 32 if mapped else 0)
        yield f"a{network.prefixlen + (96 if mapped else 0)}.{address:032x}"
    for referer in decision.referers:
        yield f"r{encode(referer)}"


def decision_entry(decision: Decision) -> MapEntry:
    """Return the map entry of a decision."""
    key = decision_key(decision.api_id, decision.credential_sha256)
    return MapEntry(shard(decision.credential_sha256), key, encode_decision(decision))


def encode(text: str) -> str:
    """Percent-encode everything but unreserved characters (RFC 3986 §2.3)."""
    return quote(text, safe="")
