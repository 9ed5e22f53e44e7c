"""Users, subjects and user stores, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase

from pydantic import SecretStr

from ostiary.identity.user_names import PRIMARY, display_name


@dataclass(frozen=True, slots=True)
class Subject:
    """A person as tokens know them: (organization, store, immutable id there), never the bare name.

    `id` is the `sub`: a random UUID given at first sight. `username` is canonical.
    """

    id: str
    organization_id: str
    store: str
    immutable_id: str
    username: str

    def display(self, organization_name: str) -> str:
        """`EXTERNAL/testuser@my_company`, or `bob@my_company` for PRIMARY."""
        return display_name(self.store, self.username, organization_name)


@dataclass(frozen=True, slots=True)
class AuthenticatedUser:
    """Somebody whose password a store has just confirmed. `groups` are written `STORE/group`."""

    subject: Subject
    groups: frozenset[str]
    claims: Mapping[str, str]


class StandingProblem(StrEnum):
    """Why a subject may get no token, whatever the grant."""

    UNKNOWN = "unknown"
    """No such subject, or its user or its user store is gone."""
    DISABLED = "disabled"
    """An administrator disabled it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What every grant asks about a subject before it issues anything.

    `locked_until` concerns new logins only: a lock-out never ends sessions or refresh.
    """

    subject: Subject | None
    problem: StandingProblem | None
    locked_until: datetime | None
    password_checked_at: datetime | None
    store_reports_deletions: bool

    @property
    def may_continue(self) -> bool:
        """Whether what began with a login may go on (refresh, assertion grants)."""
        return self.problem is None

    @property
    def may_log_in(self) -> bool:
        """Whether a password may be tried now."""
        return self.problem is None and self.locked_until is None


@dataclass(frozen=True, slots=True)
class User:
    """A user of PRIMARY. The password's hash is not here."""

    id: str
    organization_id: str
    username: str
    subject_id: str
    claims: Mapping[str, str]
    disabled: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class UserSpec:
    """What a user of PRIMARY should be. `password_hash` None keeps the password there is."""

    organization_id: str
    username: str
    password_hash: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """What we show a login service: its own user name and password for us (RFC 7617).

    As input, a password of None keeps the one there is. It is never given out again.
    """

    username: str
    password: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class UserStoreSpec:
    """What a user store should be.

    `position`: stores are asked by it, PRIMARY first. `accepts`: a pattern with `*` and `?`; names
    outside it are never sent there. `timeout` bounds a whole login, waiting included.
    """

    organization_id: str
    name: str
    url: str
    basic: BasicCredentials | None = None
    type: str = "rest"
    timeout: timedelta = timedelta(milliseconds=2000)
    concurrency: int = 20
    accepts: str | None = None
    case_sensitive: bool = False
    position: int | None = None


@dataclass(frozen=True, slots=True)
class UserStoreSettings:
    """A user store as it is. `revision` grows with every change; the secret stays sealed."""

    id: str
    organization_id: str
    name: str
    type: str
    position: int
    revision: int
    url: str
    basic_username: str | None
    sealed_password: str | None = field(repr=False)
    timeout: timedelta
    concurrency: int
    accepts: str | None
    case_sensitive: bool

    def takes(self, username: str) -> bool:
        """Whether the store may be asked about this canonical name."""
        if self.accepts is None:
            return True
        return fnmatchcase(username, self.accepts if self.case_sensitive else self.accepts.lower())

    @property
    def secret_context(self) -> str:
        """Where the store's secret is sealed for."""
        return f"user_stores:sealed_password:{self.id}"


RESERVED_STORES = frozenset({PRIMARY, "INTERNAL", "APPLICATION", "WORKFLOW", "SYSTEM"})
"""Names no user store may have; they mean something else where a store's name can stand."""
