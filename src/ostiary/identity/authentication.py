"""Authentication: the one place where a password is checked.

A login walks the organization's chain of user stores. For each store an attempt is reserved, the
store is asked, and at the end attempts are charged or given back. Refusals look and take the
same; the reason goes to the log alone. Called by the password grant and the login pages.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from pydantic import SecretStr
from sqlalchemy import Connection

from ostiary.foundation.audit import hashed_name
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.foundation.secrets import SecretBox
from ostiary.foundation.telemetry import get_logger
from ostiary.identity.belonging import bounded, see_user
from ostiary.identity.chain import (
    Candidate,
    ChainRefused,
    StoreAnswer,
    Walk,
    candidates,
    note_those_left_out,
)
from ostiary.identity.errors import InvalidUserName, LoginRefused, LoginUnavailable
from ostiary.identity.lockout import Attempt, Lockout
from ostiary.identity.looking_up import LookUps
from ostiary.identity.model import AuthenticatedUser, UserStoreSettings
from ostiary.identity.passwords import PasswordHasher, is_acceptable
from ostiary.identity.refusal_time import RefusalTime
from ostiary.identity.repository import subjects, user_stores, users
from ostiary.identity.settings import IdentitySettings
from ostiary.identity.standing import check_standing
from ostiary.identity.user_names import UserName, named_organization
from ostiary.identity.user_stores.contract import UserRecord, UserStore
from ostiary.identity.user_stores.directory import UserStores
from ostiary.identity.user_stores.guarded import StoreHealth
from ostiary.identity.user_stores.migrating import MigratingUserStore, Trust
from ostiary.identity.user_stores.primary import PrimaryUserStore
from ostiary.identity.user_stores.steps import is_watched
from ostiary.identity.user_stores.testing import Tested, test_store
from ostiary.identity.user_stores.type_settings import Secrets
from ostiary.organizations import Organization, recall

_log = get_logger(__name__)
Noted = Callable[[str, StoreAnswer], None]
Result = TypeVar("Result")
_MOST_TOLD: Final = 20
Continuation = Callable[[Connection], Callable[[AuthenticatedUser], Result]]
"""What a login is for: called in the transaction that ends the login, before anything is read of the user,
it returns what is done with the user."""


@dataclass(frozen=True, slots=True)
class _Login:
    """What is known of a login before anybody is asked. `username` is None where it cannot be one."""

    username: UserName | None
    chain: Sequence[UserStoreSettings]
    candidates: Sequence[Candidate]


class Authentication:
    """Checks user names and passwords for every organization."""

    def __init__(
        self,
        database: Database,
        box: SecretBox,
        policy: OutboundPolicy,
        settings: IdentitySettings,
        clock: Clock,
        noted: Noted = lambda *_: None,
    ) -> None:
        """`noted` is told the organization's name and what came of each of its stores, for every login."""
        self._noted = noted
        self._database = database
        self._box = box
        self._clock = clock
        self.lockout = Lockout(database, settings.lockout, clock)
        """Who counts wrong passwords, for whoever compares other secrets of people too."""
        self._refusal_time = RefusalTime(settings.refusals)
        self.hasher = PasswordHasher(settings.hashing)
        """The pool that hashes passwords, for whoever sets one too."""
        self._stores = UserStores(box, policy, self.hasher)
        self._trust = Trust(clock)
        self.look_ups = LookUps(database, self._stores, clock)
        """Asking the stores again about people who have logged in."""
        self.policy = policy
        """Where user stores may be."""

    async def authenticate(
        self,
        organization: Organization,
        username: str,
        password: SecretStr,
        client_id: str,
        may_name_organizations: bool = False,
        user_stores: Sequence[str] | None = None,
    ) -> AuthenticatedUser:
        """Find who this is, if the password is right; see `log_in`."""

        def nothing_else(_connection: Connection) -> Callable[[AuthenticatedUser], AuthenticatedUser]:
            return lambda user: user

        return await self.log_in(
            organization, username, password, client_id, nothing_else, may_name_organizations, user_stores
        )

    async def log_in(
        self,
        organization: Organization,
        username: str,
        password: SecretStr,
        client_id: str,
        then: Continuation[Result],
        may_name_organizations: bool = False,
        user_stores: Sequence[str] | None = None,
    ) -> Result:
        """Find who this is, if the password is right, and do `then` in the transaction that ends the login.

        What `then` raises undoes what it did; the password was right all the same.
        `may_name_organizations`: the text after the last `@` may be another organization's name.
        `user_stores`: the names of the stores that are asked, in order; None is PRIMARY and the chain.

        Raises:
            LoginRefused: for every reason alike, after the same time.
            LoginUnavailable: somebody who might have accepted could not be asked. No outage is ever
                counted against the user.
        """
        started = asyncio.get_running_loop().time()
        if may_name_organizations:
            organization = await self._meant(organization, username)
        try:
            return await self._log_in(organization, username, password, client_id, then, user_stores, started)
        except LoginRefused:
            await self._refusal_time.hold(organization.id, started)
            raise

    async def test(self, store: UserStoreSettings, secrets: Secrets | None = None) -> Tested:
        """Try a store on connections of its own. `secrets` are used besides those that are sealed."""
        made = self._stores.unshared(store, secrets or {})
        try:
            return await test_store(made)
        finally:
            await made.close()

    async def reach(self, organization: Organization, store: UserStoreSettings) -> None:
        """See whether the store can be asked at all now.

        Raises:
            StoreUnavailable: it cannot.
        """
        await self._stores.live(organization, store).probe()

    def forget(self, organization_id: str) -> None:
        """Let go of what is held of an organization that is gone: the connections to its stores."""
        self._stores.keep_only(organization_id, ())

    def health(self) -> Iterator[tuple[str, str, StoreHealth]]:
        """Organization and name of each outside store that this worker has in use, and how it is now."""
        return self._stores.health()

    async def close(self) -> None:
        """Close the stores' connections and the hashing pool."""
        await self.look_ups.close()
        await self._stores.close()
        await self.hasher.close()

    async def _meant(self, organization: Organization, username: str) -> Organization:
        name = named_organization(username)
        if name is None or name == organization.name:
            return organization
        return await recall(self._database, name) or organization

    async def _log_in(
        self,
        organization: Organization,
        username: str,
        password: SecretStr,
        client_id: str,
        then: Continuation[Result],
        only: Sequence[str] | None,
        started: float,
    ) -> Result:
        if not is_acceptable(password):
            raise _refusal(f"?@{organization.name}", "unacceptable_password")
        login = await self._database.glance(lambda c: _prepare(c, organization, username, only))
        self._stores.keep_only(organization.id, login.chain)
        if login.username is None:
            raise _refusal(f"?@{organization.name}", "unacceptable_name")
        if is_watched():
            note_those_left_out(login.username, login.chain, login.candidates, only)
        walk = Walk(
            login.candidates, organization.chain, password, lambda who: self._store(organization, who)
        )
        try:
            async with self.lockout.attempt(organization.id, client_id) as attempt:
                candidate, record = await walk.run(attempt)
                return await self._admit(organization, attempt, candidate, record, then)
        except ChainRefused as refused:
            who = await self._written(organization, login.username, known=refused.knows_name)
            raise _refusal(who, refused.reason, login.username.within()) from None
        except LoginUnavailable:
            name = await self._written(organization, login.username)
            reasons = {one.store: one.outage for one in walk.answers if one.outage}
            _log.warning("login_unavailable", user=name, asked=walk.asked, reasons=reasons)
            raise
        finally:
            self._observe(organization, walk, started)
            for answer in walk.answers:
                self._noted(organization.name, answer)

    async def _admit(
        self,
        organization: Organization,
        attempt: Attempt,
        candidate: Candidate,
        record: UserRecord,
        then: Continuation[Result],
    ) -> Result:
        """Give the subject its `sub`, see whether it may log in, settle the attempt and go on, all in one."""
        attempt.accepted(candidate.identity)
        told = bounded(record)

        def unit(connection: Connection) -> tuple[AuthenticatedUser, Result]:
            user = see_user(
                connection,
                organization.id,
                candidate.store_id,
                candidate.store,
                told,
                self._clock(),
                candidate.username,
            )
            go_on = then(connection)
            self._check(connection, user)
            attempt.write(connection, self._clock)
            return user, go_on(user)

        try:
            user, result = await self._database.write(unit, brief=True)
        except ChainRefused:
            attempt.rejected(candidate.identity)
            raise
        attempt.settled()
        name = user.subject.display(organization.name)
        _log.info("login_accepted", user=name)
        if told.ambiguous_groups:
            groups = sorted(told.ambiguous_groups)[:_MOST_TOLD]
            _log.warning("ambiguous_groups", user=name, store=candidate.store, groups=groups)
        return result

    def _check(self, connection: Connection, user: AuthenticatedUser) -> None:
        subject = user.subject
        standing = check_standing(connection, subject.organization_id, subject.id, self._clock)
        if standing.problem is not None:
            raise ChainRefused(standing.problem.value)

    def _store(self, organization: Organization, candidate: Candidate) -> UserStore:
        if candidate.settings is None:
            return PrimaryUserStore(self._database, self.hasher, organization.id)
        settings = candidate.settings
        if not settings.is_migrating:
            return self._stores.live(organization, settings)
        return MigratingUserStore(
            settings,
            lambda: self._stores.live(organization, settings),
            self._database,
            self.hasher,
            self._trust,
            self._clock,
        )

    async def _written(self, organization: Organization, username: UserName, *, known: bool = False) -> str:
        """Who tried to log in, for logs and explanations.

        What no store is known to have may be a password: of that there is a keyed hash, as in the audit log.
        """
        name = username.within()
        whose = await self._database.read(lambda c: subjects.id_of_name(c, organization.id, name))
        if known or whose is not None:
            return username.display()
        return f"?{hashed_name(self._box, organization.id, name)}@{organization.name}"

    def _observe(self, organization: Organization, walk: Walk, started: float) -> None:
        if walk.asked and not walk.disturbed:
            took = timedelta(seconds=asyncio.get_running_loop().time() - started)
            self._refusal_time.observe(organization.id, tuple(walk.asked), took)


def _prepare(
    connection: Connection, organization: Organization, text: str, only: Sequence[str] | None
) -> _Login:
    chain = user_stores.chain(connection, organization.id)
    try:
        username = UserName.parse(
            text, organization.name, {settings.name: settings.case_sensitive for settings in chain}
        )
    except InvalidUserName:
        return _Login(None, chain, ())
    known = users.knows(connection, organization.id, username.canonical())
    chosen = candidates(username, chain, organization.chain, only, primary_knows=known)
    return _Login(username, chain, chosen)


def _refusal(who: str, reason: str, username: str | None = None) -> LoginRefused:
    """The refusal everybody sees. The log learns why."""
    _log.info("login_refused", user=who, reason=reason)
    return LoginRefused(f"{who}: {reason}", reason, username)
