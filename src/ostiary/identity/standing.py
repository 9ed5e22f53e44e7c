"""Standing: whether a subject may get tokens. Every grant asks here, refresh and assertions included."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, Row

from ostiary.foundation.clock import Clock
from ostiary.identity.model import Standing, StandingProblem, StoreOptions
from ostiary.identity.repository import subjects
from ostiary.identity.user_names import PRIMARY
from ostiary.identity.user_stores.directory import looks_up


def check_standing(connection: Connection, organization_id: str, subject_id: str, clock: Clock) -> Standing:
    """What stands against a subject now, and what its store said of it last.

    `problem` ends every grant. Before a refresh a store that `is_due` is asked again; where it cannot say,
    refresh ends when its last word is worn out.
    """
    row = subjects.standing_row(connection, organization_id, subject_id)
    if row is None:
        return Standing(None, StandingProblem.UNKNOWN)
    subject = subjects.subject_of(row)
    options = StoreOptions.model_validate(row.store_options or {})
    wait = options.reauthenticate_after_seconds
    limit = None if wait is None else timedelta(seconds=wait)
    now = clock()
    return Standing(
        subject,
        _problem(row, options, now),
        row.password_checked_at,
        row.confirmed_at,
        is_kept_here=row.store_id == PRIMARY or row.has_moved,
        is_due=_is_due(row, options, now),
        reauthenticate_after=limit,
        signed_out_at=row.signed_out_at,
        groups=None if row.groups is None else frozenset(f"{subject.store}/{group}" for group in row.groups),
    )


def _problem(row: Row[tuple[object, ...]], options: StoreOptions, now: datetime) -> StandingProblem | None:
    if row.disabled_at is not None:
        return StandingProblem.DISABLED
    if not (row.user_exists or row.store_exists):
        return StandingProblem.UNKNOWN
    return None if options.is_asked(now) or row.has_moved else StandingProblem.STORE_OFF


def _is_due(row: Row[tuple[object, ...]], options: StoreOptions, now: datetime) -> bool:
    if not row.store_exists or row.has_moved or not options.is_asked(now):
        return False
    holds = timedelta(seconds=options.ask_again_after_seconds)
    is_old = row.confirmed_at is None or now - row.confirmed_at > holds
    return is_old and looks_up(row.store_type, row.store_settings)
