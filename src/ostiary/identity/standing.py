"""Standing: whether a subject may get tokens. Every grant asks here, refresh and assertions included."""

from datetime import timedelta

from sqlalchemy import Connection, Row

from ostiary.foundation.clock import Clock
from ostiary.identity.lockout import identity_key
from ostiary.identity.model import Standing, StandingProblem, StoreOptions
from ostiary.identity.repository import login_attempts, subjects
from ostiary.identity.repository.login_attempts import CounterKey
from ostiary.identity.user_names import PRIMARY


def check_standing(connection: Connection, organization_id: str, subject_id: str, clock: Clock) -> Standing:
    """What stands against a subject now, and when a store last confirmed its password.

    `problem` ends every grant. `locked_until` ends password logins only. Where
    `store_reports_deletions` is False, refresh has to end some time after `password_checked_at`.
    """
    row = subjects.standing_row(connection, organization_id, subject_id)
    if row is None:
        return Standing(None, StandingProblem.UNKNOWN, None, None, store_reports_deletions=True)
    subject = subjects.subject_of(row)
    counter = CounterKey(organization_id, identity_key(subject.store, subject.username), "")
    options = StoreOptions.model_validate(row.store_options or {})
    wait = options.reauthenticate_after_seconds
    return Standing(
        subject,
        _problem(row, options),
        login_attempts.locked_until(connection, counter, clock()),
        row.password_checked_at,
        store_reports_deletions=row.store_id == PRIMARY,
        reauthenticate_after=None if wait is None else timedelta(seconds=wait),
        groups=None if row.groups is None else frozenset(f"{subject.store}/{group}" for group in row.groups),
    )


def _problem(row: Row[tuple[object, ...]], options: StoreOptions) -> StandingProblem | None:
    if row.disabled_at is not None:
        return StandingProblem.DISABLED
    if not (row.user_exists or row.store_exists):
        return StandingProblem.UNKNOWN
    return None if options.enabled or row.has_moved else StandingProblem.STORE_OFF
