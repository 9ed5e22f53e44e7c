"""Answers one miss: verify the credential, authorize it by the current plan, sign, remember, store.

A credential's misses of one kind, relayed or not, are one flight. From authorization to the index nothing is
awaited, so a change of the plan comes either before (and is seen) or after (and finds the decision in the
index and deletes it): a revocation wins every race. Only grants are stored.

A miss is relayed if the control plane may be asked about it. Where that is needed and it is not, the answer
says so, at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.haproxy import Decision, MapEntry, Quota, decision_key, shard
from ostiary.gateway.node import assertion
from ostiary.gateway.node.authorize import (
    INVALID_TOKEN,
    UNAVAILABLE,
    USER,
    Grant,
    Refused,
    authorize,
    authorize_key,
)
from ostiary.gateway.node.clock import NodeClock
from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown
from ostiary.gateway.node.explaining import credential_steps
from ostiary.gateway.node.explanations import Explanations
from ostiary.gateway.node.index import DecisionIndex, Stored
from ostiary.gateway.node.state import NodeState
from ostiary.gateway.node.tokens import (
    Claims,
    InvalidToken,
    UnknownKey,
    end_user,
    looks_like_a_jwt,
    may_be_opaque,
    read_claims,
    verify,
)
from ostiary.gateway.told import ToldClaims

_log = get_logger(__name__)
ASK_WITHIN = 0.6
"""Seconds for a question to the control plane; HAProxy waits 0.8 for the whole answer."""
_QUESTIONS_AT_ONCE = 64
_ASKED_AT_MOST = 3
_KILOBYTE = 1024


Store = Callable[[list[MapEntry]], None]
"""Puts changes into the queue to HAProxy; they are made in the order they come."""
Refresh = Callable[[], Awaitable[None]]
"""Asks the control plane once for what changed; returns when it is applied, or cannot be had."""


@dataclass(frozen=True, slots=True)
class Miss:
    """What HAProxy asks."""

    api_id: str
    credential_sha256: str
    """In hex; an API key's has a `k` before it."""
    credential: SecretStr
    """Empty for an API key, which is known by its hash."""
    request_id: str = ""
    """Of the call; empty where the answer need not be explained."""
    relayed: bool = True
    """Whether the control plane may be asked, which can take long; HAProxy lets only so many of these in."""

    @property
    def is_key(self) -> bool:
        """Whether an API key was shown."""
        return self.credential_sha256.startswith("k")


@dataclass(frozen=True, slots=True)
class Answer:
    """What HAProxy is answered: an encoded decision, the name of a refusal, or neither: ask relayed."""

    granted: str | None
    refused: str | None = None
    why: Refused | None = None

    @property
    def is_decided(self) -> bool:
        """Whether the call is decided by it."""
        return self.granted is not None or self.refused is not None

    def as_text(self) -> str:
        """Write the answer as `questions.lua` and `decide.lua` read it."""
        if self.granted is not None:
            return f"grant\n{self.granted}"
        return f"refuse {self.refused}" if self.refused is not None else "relay"


class _NotRelayed(Exception):
    """The control plane would have to be asked, and may not be."""


def quotas(grant: Grant) -> dict[str, Quota | None]:
    """Say what the calls of a grant are counted against, besides what all callers share."""
    limit, subscription, application = grant.plan, grant.subscription.id, grant.application
    made: dict[str, Quota | None] = {"quota": None}
    if limit.requests is not None:
        made["quota"] = Quota(subscription, limit.requests, limit.per)
    if limit.burst is not None:
        made["burst"] = Quota(f"burst:{subscription}", limit.burst.requests, limit.burst.per)
    if limit.bandwidth is not None:
        made["bandwidth"] = Quota(subscription, -(-limit.bandwidth // _KILOBYTE), limit.per)
    if application.limit is not None:
        user = hashlib.sha256(grant.claims.subject.encode()).hexdigest()[:32]
        made["application"] = Quota(
            f"{application.id}:{user}", application.limit.requests, application.limit.per
        )
    return made


class Decider:
    """Decides misses."""

    def __init__(
        self,
        state: NodeState,
        index: DecisionIndex,
        store: Store,
        refresh: Refresh,
        control_plane: ControlPlane,
        lifetime: timedelta,
        now: Callable[[], float],
        explanations: Explanations | None = None,
        clock: NodeClock | None = None,
    ) -> None:
        """`now` is the clock by which HAProxy and the index end decisions; tokens are judged by `clock`."""
        self._state = state
        self._index = index
        self._store = store
        self._refresh = refresh
        self._control_plane = control_plane
        self._lifetime = int(lifetime.total_seconds())
        self._now = now
        self._flights: dict[tuple[str, str, bool], asyncio.Task[Answer]] = {}
        self._asking = asyncio.Semaphore(_QUESTIONS_AT_ONCE)
        self._explanations = explanations
        self._clock = clock or NodeClock(now, time.monotonic)

    async def decide(self, miss: Miss) -> Answer:
        """Answer a miss; concurrent ones of the same credential at the same API are decided once."""
        if not miss.is_key and _sha256(miss.credential) != miss.credential_sha256:
            return Answer(None, INVALID_TOKEN)
        key = (miss.api_id, miss.credential_sha256, miss.relayed)
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._answer(miss))
            self._flights[key] = flight
            flight.add_done_callback(lambda _: self._flights.pop(key, None))
        answer = await asyncio.shield(flight)
        if answer.why is not None and miss.request_id:
            self._explain(miss, answer.why)
        return answer

    def _explain(self, miss: Miss, why: Refused) -> None:
        """Note what was compared, while there is room: a refusal must not become dear."""
        if self._explanations is not None and self._explanations.may_note():
            steps = credential_steps(self._state.plan, miss.api_id, why.claims, self._clock.now(), why)
            self._explanations.note(miss.request_id, steps)

    async def _answer(self, miss: Miss) -> Answer:
        try:
            stored, deletions = self._known(miss) or await self._grant(miss)
        except _NotRelayed:
            return Answer(None)
        except Refused as refused:
            _log.info("call_refused", api_id=miss.api_id, refusal=refused.refusal, reason=refused.reason)
            return Answer(None, refused.refusal, refused)
        self._store([*deletions, stored.entry])
        return Answer(stored.value)

    def _known(self, miss: Miss) -> tuple[Stored, list[MapEntry]] | None:
        """A decision that stands already; a HAProxy worker has not been given it yet."""
        name, key = shard(miss.credential_sha256), decision_key(miss.api_id, miss.credential_sha256)
        stored = self._index.find(name, key)
        return (stored, []) if stored is not None and self._now() < stored.expires_at else None

    async def _grant(self, miss: Miss) -> tuple[Stored, list[MapEntry]]:
        if self._state.is_outdated(self._now()):
            raise Refused(UNAVAILABLE, "the last plan is too old")
        try:
            return await self._authorized(miss)
        except Refused as refused:
            if not refused.stale:
                raise
        _must_be_relayed(miss)
        await self._refresh()
        return await self._authorized(miss)

    async def _authorized(self, miss: Miss) -> tuple[Stored, list[MapEntry]]:
        token = None if miss.is_key else await self._claims(miss)
        grant, user = await self._granted_and_told(miss, token)  # nothing is awaited after the grant
        decision = self._decision(grant, miss.credential_sha256, int(self._clock.now()), user)
        return self._index.add(decision, grant.subscription.id, grant.plan.id)

    def _granted(self, miss: Miss, token: Claims | None) -> Grant:
        """Decide by the plan as it is now; `token` is what the credential says, none for an API key."""
        now = self._clock.now()
        if token is None:
            return authorize_key(self._state.plan, miss.api_id, miss.credential_sha256[1:], now)
        try:
            return authorize(self._state.plan, miss.api_id, token, now)
        except Refused as refused:
            refused.claims = token
            raise

    async def _granted_and_told(self, miss: Miss, token: Claims | None) -> tuple[Grant, ToldClaims | None]:
        """Decide, and ask for what the API wants to be told of the user; what is too old is asked again."""
        grant = self._granted(miss, token)
        for _ in range(_ASKED_AT_MOST):
            if not grant.asks_for_claims:
                return grant, None
            _must_be_relayed(miss)
            user = await self._claims_of_user(grant)
            grant = self._granted(miss, token)  # the plan may have changed meanwhile
            if grant.asks_for_claims and user.number >= self._state.plan.number:
                return grant, user
        raise Refused(UNAVAILABLE, "claims of the user: the plan changes faster than they are told")

    async def _claims_of_user(self, grant: Grant) -> ToldClaims:
        try:
            async with self._asking:
                user = await self._control_plane.claims(
                    grant.organization.id, grant.api.id, grant.claims.subject, ASK_WITHIN
                )
        except ControlPlaneDown as error:
            raise Refused(UNAVAILABLE, f"claims of the user: no control plane: {error}") from error
        if user is None:
            raise Refused(UNAVAILABLE, "claims of the user: the API is gone", stale=True)
        if user.left_out:
            _log.warning("claims_left_out", api_id=grant.api.id, names=user.left_out)
        return user

    async def _claims(self, miss: Miss) -> Claims:
        credential = miss.credential.get_secret_value()
        try:
            if looks_like_a_jwt(credential):
                return verify(credential, self._state.plan.keys.get)
            if not may_be_opaque(credential):
                raise InvalidToken("neither a JWT nor a token of ours")
            _must_be_relayed(miss)
            async with self._asking:
                answer = await self._control_plane.introspect(miss.credential, ASK_WITHIN)
            if answer is None:
                raise InvalidToken("the control plane does not know it")
            return read_claims(answer, kid=None)
        except UnknownKey as error:
            raise Refused(INVALID_TOKEN, str(error), stale=True) from error
        except InvalidToken as error:
            raise Refused(INVALID_TOKEN, str(error)) from error
        except ControlPlaneDown as error:
            raise Refused(UNAVAILABLE, f"no control plane: {error}") from error

    def _decision(self, grant: Grant, credential_sha256: str, now: int, user: ToldClaims | None) -> Decision:
        claims, limit = grant.claims, grant.plan
        expires_at = min(claims.expires_at, now + self._lifetime)
        ends_here = int(expires_at - self._clock.skew)
        signing, key = self._state.signing, grant.api_key
        return Decision(
            api_id=grant.api.id,
            credential_sha256=credential_sha256,
            expires_at=ends_here,
            epoch=claims.epoch,
            organization_id=grant.organization.id,
            subject=claims.subject,
            client_id=claims.client_id,
            application_id=grant.application.id,
            key_type=grant.client.key_type,
            scopes=frozenset(claims.scopes),
            **quotas(grant),
            subscription_id=grant.subscription.id if limit.id else "",
            holder="user" if claims.usertype == USER else "application",
            addresses=() if key is None else key.addresses,
            referers=() if key is None else key.referers,
            assertion=assertion.sign(grant, signing.kid, signing.key, now, expires_at, user),
            has_claims=user is not None,
            token_id=claims.token_id,
            family=claims.family or "",
            kid=claims.kid or "",
            plan=limit.name,
            end_user=end_user(claims) or "",
            api_key="" if key is None else key.id,
            credential_ends_at=int(claims.expires_at - self._clock.skew),
        )


def _must_be_relayed(miss: Miss) -> None:
    if not miss.relayed:
        raise _NotRelayed


def _sha256(credential: SecretStr) -> str:
    return hashlib.sha256(credential.get_secret_value().encode()).hexdigest()
