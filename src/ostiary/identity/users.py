"""PRIMARY users: putting, finding, listing, disabling, deleting.

The functions run inside the caller's transaction, so that an organization file can apply them all
in one; passwords are hashed before it begins (`hash_password`). Whatever takes something away
(a new password, disabling, deleting) also refuses the tokens that are out.
"""

from collections.abc import Mapping, Sequence

from pydantic import SecretStr
from sqlalchemy import Connection

from ostiary.foundation import audit
from ostiary.foundation.clock import Clock
from ostiary.foundation.identifiers import new_id
from ostiary.identity.belonging import say_claims_changed
from ostiary.identity.challenges import repository as challenge_answers
from ostiary.identity.errors import InvalidUser, InvalidUserName, UnknownUser
from ostiary.identity.lockout import identity_key
from ostiary.identity.model import User, UserSpec
from ostiary.identity.repository import login_attempts, subjects, users
from ostiary.identity.user_names import PRIMARY, UserName, is_text
from ostiary.identity.user_stores.contract import UserRecord
from ostiary.organizations import by_id, narrow

_MOST_CLAIMS, _LONGEST_CLAIM = 50, 1000


def put_user(connection: Connection, spec: UserSpec, clock: Clock) -> bool:
    """Create the user or make it what is given; False where it was so already.

    Without `password_hash` a known user keeps its password. A new password ends the old one's
    tokens, refresh tokens included, and locks.

    Raises:
        InvalidUser: names the field and what was expected of it.
    """
    username = canonical_username(connection, spec.organization_id, spec.username)
    check_claims(spec.claims)
    known = users.find(connection, spec.organization_id, username)
    if known is None:
        return _add(connection, spec, username, clock) or put_user(connection, spec, clock)
    same_claims = dict(known.claims) == dict(spec.claims)
    if spec.password_hash is None and same_claims:
        return False
    users.change(connection, known, spec.password_hash, spec.claims, clock())
    if not same_claims:
        say_claims_changed(connection, known.organization_id, known.subject_id)
    old = picture_of_user(known.subject_id, username, known.claims, None)
    new = picture_of_user(known.subject_id, username, spec.claims, spec.password_hash)
    audit.note(connection, spec.organization_id, "user", known.subject_id, old, new)
    if spec.password_hash is not None:
        _end_locks_and_tokens(connection, known)
        subjects.sign_out(connection, known.organization_id, known.subject_id, clock())
    return True


def add_user(connection: Connection, spec: UserSpec, clock: Clock) -> bool:
    """Create the user; False where there is one of that name already, who stays as it is.

    Raises:
        InvalidUser: names the field and what was expected of it.
    """
    username = canonical_username(connection, spec.organization_id, spec.username)
    check_claims(spec.claims)
    return _add(connection, spec, username, clock)


def find_user(connection: Connection, organization_id: str, username: str) -> User | None:
    """The user of that name, however it is spelled."""
    try:
        return users.find(
            connection, organization_id, canonical_username(connection, organization_id, username)
        )
    except InvalidUser:
        return None


def list_users(
    connection: Connection, organization_id: str, after: str = "", limit: int = 100
) -> Sequence[User]:
    """At most `limit` users in the order of their canonical names, beginning after `after`."""
    return users.page(connection, organization_id, after, limit)


def disable_user(connection: Connection, organization_id: str, username: str, clock: Clock) -> bool:
    """Refuse the user's logins, refreshes and tokens from now on; False where it was disabled already.

    Raises:
        UnknownUser: PRIMARY has no such user.
    """
    return disable_subject(
        connection, organization_id, _known(connection, organization_id, username).subject_id, clock
    )


def enable_user(connection: Connection, organization_id: str, username: str) -> bool:
    """Let a disabled user log in again; False where it was not disabled.

    Raises:
        UnknownUser: PRIMARY has no such user.
    """
    return enable_subject(
        connection, organization_id, _known(connection, organization_id, username).subject_id
    )


def disable_subject(connection: Connection, organization_id: str, subject_id: str, clock: Clock) -> bool:
    """The same as `disable_user` for a subject of any store."""
    disabled = subjects.set_disabled(connection, organization_id, subject_id, clock())
    if disabled:
        narrow(connection, organization_id, "subject", subject_id)
        audit.note(connection, organization_id, "user", subject_id, {}, {}, verb="disabled")
    return disabled


def enable_subject(connection: Connection, organization_id: str, subject_id: str) -> bool:
    """The same as `enable_user` for a subject of any store."""
    enabled = subjects.set_disabled(connection, organization_id, subject_id, None)
    if enabled:
        audit.note(connection, organization_id, "user", subject_id, {}, {}, verb="enabled")
    return enabled


def sign_out(connection: Connection, organization_id: str, subject_id: str, clock: Clock) -> None:
    """End everything that began with a login of the subject: its tokens, and refreshing them."""
    subjects.sign_out(connection, organization_id, subject_id, clock())
    narrow(connection, organization_id, "subject", subject_id)
    audit.note(connection, organization_id, "user", subject_id, {}, {}, verb="signed_out")


def delete_user(connection: Connection, organization_id: str, username: str) -> None:
    """Delete the user. Somebody of the same name made later is somebody else: another subject.

    Raises:
        UnknownUser: PRIMARY has no such user.
    """
    known = _known(connection, organization_id, username)
    users.remove(connection, organization_id, known.username)
    old = picture_of_user(known.subject_id, known.username, known.claims, None)
    audit.note(connection, organization_id, "user", known.subject_id, old, None)
    challenge_answers.remove_answers(connection, organization_id, known.subject_id)
    _end_locks_and_tokens(connection, known)


def canonical_username(connection: Connection, organization_id: str, username: str) -> str:
    """The canonical form of a PRIMARY user's name.

    Raises:
        InvalidUser: it cannot be one; says what was expected.
    """
    organization = by_id(connection, organization_id)
    if organization is None:
        raise InvalidUser("organization", "one that exists")
    try:
        return UserName.parse(username, organization.name).canonical()
    except InvalidUserName as error:
        raise InvalidUser("username", str(error)) from error


def _add(connection: Connection, spec: UserSpec, username: str, clock: Clock) -> bool:
    """Insert a user under its canonical name; False where somebody else has just done so."""
    if spec.password_hash is None:
        raise InvalidUser("password", "one, because the user is new")
    here, user_id, now = spec.organization_id, new_id(), clock()
    if not users.add(connection, user_id, here, username, spec.password_hash, spec.claims, now):
        return False
    seen = UserRecord(user_id, username)
    subject, _ = subjects.see(connection, here, PRIMARY, PRIMARY, seen, now)
    new = picture_of_user(subject.id, username, spec.claims, spec.password_hash)
    audit.note(connection, here, "user", subject.id, None, new)
    return True


def picture_of_user(
    subject_id: str, username: str, claims: Mapping[str, str], password_hash: str | None
) -> dict[str, object]:
    """A user as the audit log has it; a password hash is one that was set."""
    return {
        "username": audit.Personal(subject_id, username),
        "claims": audit.Personal(subject_id, dict(claims)),
        "password": SecretStr(password_hash or ""),
    }


def _known(connection: Connection, organization_id: str, username: str) -> User:
    known = find_user(connection, organization_id, username)
    if known is None:
        raise UnknownUser(username)
    return known


def _end_locks_and_tokens(connection: Connection, user: User) -> None:
    login_attempts.forget(connection, user.organization_id, identity_key(PRIMARY, user.username))
    narrow(connection, user.organization_id, "subject", user.subject_id)


def check_claims(claims: Mapping[str, str]) -> None:
    """Refuse claims that no user may have.

    Raises:
        InvalidUser: says what was expected of them.
    """
    if len(claims) > _MOST_CLAIMS:
        raise InvalidUser("claims", f"at most {_MOST_CLAIMS}")
    for name, value in claims.items():
        if not is_text(name, 100) or (value and not is_text(value, _LONGEST_CLAIM)):
            raise InvalidUser(
                "claims", f"names of 1 to 100 characters and values of at most {_LONGEST_CLAIM} characters"
            )
