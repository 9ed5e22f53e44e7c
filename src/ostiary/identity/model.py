"""Users, subjects and user stores, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from ostiary.identity.user_names import PRIMARY, display_name
from ostiary.identity.user_stores.type_settings import Section, TypeSettings

ONE_LINE: Final = r"^[^\x00-\x1f\x7f]+$"


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
    STORE_OFF = "of_a_store_that_is_switched_off"
    """Its user store is asked about nobody now, and its password is not kept here."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What every grant asks about a subject before it issues anything. A lock-out is not in it."""

    subject: Subject | None
    problem: StandingProblem | None
    password_checked_at: datetime | None = None
    confirmed_at: datetime | None = None
    """When its store last said that it may go on, asked with a password or without."""
    is_kept_here: bool = True
    """Its password is checked here, so our own rows say when it is gone."""
    is_due: bool = False
    """Its store can be asked about it, and what that told is too old to go on with."""
    reauthenticate_after: timedelta | None = None
    """The store's own limit, counted from the last password check; None: it has none."""
    groups: frozenset[str] | None = None
    """The groups its store told last, as `STORE/group`; None where it never did."""
    signed_out_at: datetime | None = None
    """Until when logins are over: everything was ended, or the password changed."""

    @property
    def own_name(self) -> str:
        """The user's name where nobody else can bear it by now; else empty, because only a login shows it."""
        if self.subject is None or self.subject.store != PRIMARY:
            return ""
        return self.subject.username

    @property
    def may_continue(self) -> bool:
        """Whether what began with a login may go on (refresh, assertion grants)."""
        return self.problem is None

    def has_ended(self, began_at: datetime) -> bool:
        """Whether what began with a login at `began_at` was ended since."""
        return self.signed_out_at is not None and began_at <= self.signed_out_at

    def needs_a_password(self, now: datetime, began_at: datetime) -> bool:
        """Whether the store's own limit has passed for somebody who logged in at `began_at`."""
        limit = self.reauthenticate_after
        return limit is not None and now - (self.password_checked_at or began_at) > limit

    def is_worn_out(self, now: datetime, began_at: datetime, usual: timedelta) -> bool:
        """Whether the store's last word is older than the `usual` limit, where the store has none of its own.

        Ends nothing where our own rows say who is gone, nor where the store could be asked.
        """
        if self.is_kept_here or self.reauthenticate_after is not None:
            return False
        return now - (self.confirmed_at or began_at) > usual


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
class Person:
    """A user of any store, as it is listed; of an outside store only who has been seen.

    `attributes` and `external_id` are what a provisioning client has said of a user of PRIMARY.
    """

    subject: Subject
    claims: Mapping[str, str]
    is_disabled: bool
    created_at: datetime
    changed_at: datetime
    external_id: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_outside(self) -> bool:
        """Whether an outside store says who this is, and nobody here."""
        return self.subject.store != PRIMARY


@dataclass(frozen=True, slots=True)
class UserSpec:
    """What a user of PRIMARY should be. `password_hash` None keeps the password there is."""

    organization_id: str
    username: str
    password_hash: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict)


def _day(value: object) -> date:
    try:
        return value if isinstance(value, date) else date.fromisoformat(str(value))
    except ValueError:
        raise ValueError("a day such as 2027-06-30") from None


class StoreOptions(Section):
    """What every outside user store has, whatever its type; keys as in an organization file."""

    timeout_ms: Annotated[int, Field(ge=50, le=30_000)] = 2_000
    """Milliseconds a whole login there may take, waiting included."""
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = 20
    """Logins of one worker that are there at once."""
    accepts: Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)] | None = None
    """A pattern with `*` and `?`: names outside it are never sent there."""
    case_sensitive: bool = False
    """Whether names that differ in case are different people."""
    enabled: bool = True
    """A store that is not is asked about nobody, and its users' tokens and refresh end."""
    description: Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)] | None = None
    """What people should know of it."""
    ask_again_after_seconds: Annotated[int, Field(ge=0, le=86_400)] = 300
    """Seconds for which what it told of a person holds; a refresh after that asks it again, if it can say."""
    reauthenticate_after_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """Seconds after the last password check that refresh ends; None is the installation's setting."""
    migrate_until: Annotated[date, BeforeValidator(_day)] | None = None
    """Until when passwords that were right there are kept, so that it can be unplugged."""

    def is_asked(self, now: datetime) -> bool:
        """Whether the store is asked about anybody: it is on, and the day of moving away is not over."""
        until = self.migrate_until
        return self.enabled and (until is None or now.astimezone(UTC).date() <= until)


USUAL_OPTIONS: Final = StoreOptions()


@dataclass(frozen=True, slots=True)
class UserStoreSpec:
    """What a user store should be; secrets that are not set in `settings` stay as they are.

    `position`: stores are asked by it, PRIMARY first; None keeps it, or is after all others.
    """

    organization_id: str
    name: str
    type: str
    settings: TypeSettings
    options: StoreOptions = USUAL_OPTIONS
    position: int | None = None


@dataclass(frozen=True, slots=True)
class UserStoreSettings:
    """A user store as it is. `revision` grows with every change; `sealed` are its secrets by dotted key."""

    id: str
    organization_id: str
    name: str
    type: str
    position: int
    revision: int
    settings: Mapping[str, Any]
    options: StoreOptions = USUAL_OPTIONS
    sealed: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def case_sensitive(self) -> bool:
        """Whether names that differ in case are different people there."""
        return self.options.case_sensitive

    @property
    def is_migrating(self) -> bool:
        """Whether passwords that were right there are kept here, or were."""
        return self.options.migrate_until is not None

    def days_left(self, now: datetime) -> int | None:
        """Days on which a store that is moved away from is asked, today included; None where nothing moves.

        0 when it is asked about nobody any more: the day is over (in UTC), or it is switched off.
        """
        until = self.options.migrate_until
        if until is None:
            return None
        return max(0, (until - now.date()).days + 1) if self.options.enabled else 0

    def takes(self, username: str) -> bool:
        """Whether the store may be asked about this canonical name."""
        if not (self.options.enabled or self.is_migrating):  # kept credentials outlive the store
            return False
        pattern = self.options.accepts
        if pattern is None:
            return True
        return fnmatchcase(username, pattern if self.options.case_sensitive else pattern.lower())

    def secret_context(self, key: str) -> str:
        """Where the secret of this dotted key is sealed for."""
        suffix = "" if key == "auth.basic.password" else f":{key}"  # the first there was
        return f"user_stores:sealed_password:{self.id}{suffix}"


RESERVED_STORES = frozenset({PRIMARY, "INTERNAL", "APPLICATION", "WORKFLOW", "SYSTEM"})
"""Names no user store may have; they mean something else where a store's name can stand."""
