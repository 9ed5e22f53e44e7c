"""The chain of user stores: who is asked about a login, in which order, and who decides.

`candidates` is the rule; `Walk` asks them. PRIMARY is looked at first without a password: where it
knows the name and the policy is `first_known`, nobody else ever sees the password.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import SecretStr

from ostiary.identity.errors import LoginUnavailable
from ostiary.identity.lockout import Attempt, Identity, LockedOut, identity_key
from ostiary.identity.model import UserStoreSettings
from ostiary.identity.user_names import PRIMARY, UserName
from ostiary.identity.user_stores.contract import Refused, StoreUnavailable, UserRecord, UserStore
from ostiary.identity.user_stores.directory import takes_passwords
from ostiary.identity.user_stores.steps import note
from ostiary.organizations import ChainPolicy

_NOT_ON_THE_LIST: Final = "the client does not ask it"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A store that may be asked, and the canonical name it is asked about. PRIMARY has no settings."""

    username: str
    settings: UserStoreSettings | None = None

    @property
    def store(self) -> str:
        """The store's name."""
        return self.settings.name if self.settings else PRIMARY

    @property
    def store_id(self) -> str:
        """What identifies the store even when its name is given to another."""
        return self.settings.id if self.settings else PRIMARY

    @property
    def identity(self) -> Identity:
        """What attempts are counted under."""
        several = self.settings is not None and self.settings.case_sensitive
        key = identity_key(self.store, self.username)
        return Identity(key, self.store, self.username, may_be_several=several)


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What came of one store in a login."""

    store: str
    answer: str
    """accepted, refused, unknown or unavailable; or locked, where it was not asked."""
    seconds: float | None = None
    """How long the login waited for it; None where it was not asked."""
    outage: str = ""
    """Why it could not be asked, where it was unavailable; for the log."""


class ChainRefused(Exception):
    """No candidate accepted. `reason` is for the log."""

    def __init__(self, reason: str, *, knows_name: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.knows_name = knows_name
        """Whether a store said that it knows the user; if not, what was typed as a name may be a password."""


def candidates(
    username: UserName,
    chain: Sequence[UserStoreSettings],
    policy: ChainPolicy,
    only: Sequence[str] | None = None,
    *,
    primary_knows: bool,
) -> Sequence[Candidate]:
    """The stores that may be asked about a name, in order: PRIMARY and the chain, or those of `only`.

    Empty where the store that is named is not among them or does not accept the name. PRIMARY is left
    out where it does not know the name, and ends the list where it does and its word is the last; a name
    nobody could know is asked of it all the same, so that it costs a hash like any other.
    """
    primary = Candidate(username.canonical())
    found = {PRIMARY: primary} | {
        settings.name: Candidate(name, settings)
        for settings in chain
        if takes_passwords(settings.type)
        and settings.takes(name := username.canonical(case_sensitive=settings.case_sensitive))
    }
    allowed = [found[store] for store in (found if only is None else only) if store in found]
    if username.store is not None:
        return [one for one in allowed if one.store == username.store]
    if not primary_knows:
        return [one for one in allowed if one is not primary] or allowed
    if policy is ChainPolicy.FIRST_KNOWN and primary in allowed:
        return allowed[: allowed.index(primary) + 1]
    return allowed


def note_those_left_out(
    username: UserName,
    chain: Sequence[UserStoreSettings],
    chosen: Sequence[Candidate],
    only: Sequence[str] | None = None,
) -> None:
    """Say of each store that is not asked why, to whoever watches."""
    asked = {candidate.store for candidate in chosen}
    if only is not None and PRIMARY not in only:
        note("not asked", store=PRIMARY, why=_NOT_ON_THE_LIST)
    for settings in chain:
        if settings.name in asked:
            continue
        if not takes_passwords(settings.type):
            why = "it takes no passwords: its people come with an assertion"
        elif not settings.options.enabled:
            why = "it is switched off"
        elif only is not None and settings.name not in only:
            why = _NOT_ON_THE_LIST
        elif username.store is not None:
            why = f"the name says {username.store}"
        elif not settings.takes(username.canonical(case_sensitive=settings.case_sensitive)):
            why = f"it accepts {settings.options.accepts} only"
        else:
            why = "PRIMARY knows the name"
        note("not asked", store=settings.name, why=why)


@dataclass(slots=True)
class Walk:
    """One login's way through its candidates."""

    candidates: Sequence[Candidate]
    policy: ChainPolicy
    password: SecretStr
    store_of: Callable[[Candidate], UserStore]
    asked: list[str] = field(default_factory=list)
    answers: list[StoreAnswer] = field(default_factory=list)
    disturbed: bool = False
    """Whether its time says nothing about an ordinary login."""
    _unavailable: StoreUnavailable | None = None
    _reason: str = "no_store_accepts_the_name"
    _knows_name: bool = False

    async def run(self, attempt: Attempt) -> tuple[Candidate, UserRecord]:
        """Ask until somebody accepts or decides.

        Raises:
            ChainRefused: everybody who could be asked was, and nobody accepted.
            LoginUnavailable: somebody who might have accepted could not be asked.
        """
        for candidate in self.candidates:
            try:
                record = await self._ask(candidate, attempt)
            except Refused as refusal:
                meaning = f" ({refusal.meaning})" if refusal.meaning else ""
                self._reason = f"refused_by_{candidate.store}{meaning}"
                self._knows_name |= refusal.certain
                if refusal.certain and self.policy is ChainPolicy.FIRST_KNOWN:
                    break
            else:
                if record is not None:
                    return candidate, record
        self.disturbed |= attempt.waited
        if self._unavailable is not None:
            raise LoginUnavailable(self._unavailable.retry_after)
        raise ChainRefused(self._reason, knows_name=self._knows_name)

    async def _ask(self, candidate: Candidate, attempt: Attempt) -> UserRecord | None:
        try:
            await attempt.reserve(candidate.identity)
        except LockedOut:
            self._reason, self.disturbed = f"locked_in_{candidate.store}", True
            self._told(candidate, "locked")
            return None
        note("asks", store=candidate.store, name=candidate.username)
        self.asked.append(candidate.store)
        began = time.monotonic()
        try:
            record = await self.store_of(candidate).authenticate(candidate.username, self.password)
        except Refused:
            attempt.refused(candidate.identity)
            self._told(candidate, "refused", began)
            raise
        except StoreUnavailable as outage:
            self._unavailable, self.disturbed = outage, True
            self._told(candidate, "unavailable", began, outage.reason)
            if outage.knows_user:
                raise LoginUnavailable(outage.retry_after) from outage
            return None
        self._told(candidate, "unknown" if record is None else "accepted", began)
        if record is None:
            self._reason = "unknown"
            attempt.refused(candidate.identity)
        return record

    def _told(self, candidate: Candidate, answer: str, began: float | None = None, outage: str = "") -> None:
        seconds = None if began is None else time.monotonic() - began
        self.answers.append(StoreAnswer(candidate.store, answer, seconds, outage))
        reason = {"reason": outage} if outage else {}
        note("answer", store=candidate.store, answer=answer, **reason)
