"""Putting, listing and deleting user stores.

The functions run inside the caller's transaction, so that an organization file can apply them
all in one. Secrets are write-only, and a changed address clears them: a secret kept for one
service is never sent to another.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection

from ostiary.foundation.http_client import OutboundPolicy, OutboundRefused
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.secrets import SecretBox, SecretUnreadable
from ostiary.identity.errors import InvalidUserStore, UnknownUserStore
from ostiary.identity.model import RESERVED_STORES, UserStoreSettings, UserStoreSpec
from ostiary.identity.repository import subjects, user_stores
from ostiary.identity.user_names import is_text
from ostiary.identity.user_stores.directory import USER_STORES
from ostiary.organizations import narrow

_NAME = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,62}\Z")
_SHORTEST, _LONGEST = timedelta(milliseconds=50), timedelta(seconds=30)
_MOST_NARROWED_ONE_BY_ONE = 200


def put_user_store(
    connection: Connection, spec: UserStoreSpec, box: SecretBox, policy: OutboundPolicy | None = None
) -> bool:
    """Create the store or make it what is given; False where it was so already.

    `policy` refuses addresses we would not go to now rather than at the first login.

    Raises:
        InvalidUserStore: names the field and what was expected of it.
    """
    name = check_spec(spec, policy)
    known = user_stores.find(connection, spec.organization_id, name)
    if known is None:
        position = user_stores.next_position(connection, spec.organization_id)
        wanted = _settings(replace(spec, name=name), new_id(), position, revision=1)
        if user_stores.add(connection, replace(wanted, sealed_password=_sealed(spec, wanted, box))):
            return True
        return put_user_store(connection, spec, box, policy)  # somebody else has just made it
    wanted = _settings(replace(spec, name=name), known.id, known.position, known.revision)
    wanted = replace(wanted, sealed_password=_secret_to_keep(known, spec, box))
    if wanted == known:
        return False
    user_stores.change(connection, replace(wanted, revision=known.revision + 1))
    return True


def list_user_stores(connection: Connection, organization_id: str) -> Sequence[UserStoreSettings]:
    """The organization's stores in the order they are asked after PRIMARY; secrets stay sealed."""
    return user_stores.chain(connection, organization_id)


def find_user_store(connection: Connection, organization_id: str, name: str) -> UserStoreSettings | None:
    """The store of that name, whatever its case."""
    known = _canonical_name(name)
    return None if known is None else user_stores.find(connection, organization_id, known)


def delete_user_store(connection: Connection, organization_id: str, name: str) -> None:
    """Remove the store; tokens of its users are refused from now on.

    A store of the same name made later has other people in it: they get other subjects.

    Raises:
        UnknownUserStore: there is none of that name.
    """
    store = find_user_store(connection, organization_id, name)
    if store is None:
        raise UnknownUserStore(name)
    user_stores.remove(connection, organization_id, store.name)
    if subjects.count_of_store(connection, organization_id, store.id) > _MOST_NARROWED_ONE_BY_ONE:
        narrow(connection, organization_id, "organization", organization_id)
        return
    for subject_id in subjects.ids_of_store(connection, organization_id, store.id):
        narrow(connection, organization_id, "subject", subject_id)


def check_spec(spec: UserStoreSpec, policy: OutboundPolicy | None = None) -> str:
    """The store's name as it is kept (upper case), when everything about it is right.

    Raises:
        InvalidUserStore: names the field and what was expected of it.
    """
    name = _canonical_name(spec.name)
    if name is None:
        raise InvalidUserStore(
            "name", "1 to 63 letters, digits, '.', '_' or '-', the first a letter or digit"
        )
    if name in RESERVED_STORES:
        raise InvalidUserStore("name", f"not one of {', '.join(sorted(RESERVED_STORES))}")
    if spec.type not in USER_STORES:
        raise InvalidUserStore("type", f"one of {', '.join(USER_STORES)}")
    if not _SHORTEST <= spec.timeout <= _LONGEST:
        raise InvalidUserStore("timeout_ms", "50 to 30000")
    if not 1 <= spec.concurrency <= 1000:
        raise InvalidUserStore("concurrency", "1 to 1000")
    if spec.accepts is not None and not is_text(spec.accepts, 255):
        raise InvalidUserStore("accepts", "a pattern of 1 to 255 characters such as *@legacy.example")
    _check_basic(spec)
    _check_url(spec.url, policy)
    return name


def _canonical_name(name: str) -> str | None:
    """The name as it is kept, upper case; None where it cannot be a store's."""
    return name.upper() if name.isascii() and _NAME.match(name.upper()) else None


def _check_basic(spec: UserStoreSpec) -> None:
    if spec.basic is None:
        return
    if ":" in spec.basic.username or not is_text(spec.basic.username, 255):
        raise InvalidUserStore("auth.basic.username", "1 to 255 characters without ':' (RFC 7617 §2)")
    password = spec.basic.password
    if password is not None and not is_text(password.get_secret_value(), 1024):
        raise InvalidUserStore("auth.basic.password", "1 to 1024 characters")


def _check_url(url: str, policy: OutboundPolicy | None) -> None:
    if len(url) > 2000 or not url.isascii() or any(character <= " " for character in url) or "#" in url:
        raise InvalidUserStore("url", "an https URL of at most 2000 ASCII characters without spaces or '#'")
    try:
        (policy or OutboundPolicy()).check_url(url)
    except OutboundRefused as error:
        if policy is not None or "allowed_networks" not in str(error):
            raise InvalidUserStore("url", str(error)) from error


def _settings(spec: UserStoreSpec, store_id: str, position: int, revision: int) -> UserStoreSettings:
    return UserStoreSettings(
        id=store_id,
        organization_id=spec.organization_id,
        name=spec.name,
        type=spec.type,
        position=position if spec.position is None else spec.position,
        revision=revision,
        url=spec.url,
        basic_username=spec.basic.username if spec.basic else None,
        sealed_password=None,
        timeout=spec.timeout,
        concurrency=spec.concurrency,
        accepts=spec.accepts,
        case_sensitive=spec.case_sensitive,
    )


def _sealed(spec: UserStoreSpec, store: UserStoreSettings, box: SecretBox) -> str | None:
    if spec.basic is None or spec.basic.password is None:
        return None
    return box.seal(spec.basic.password.get_secret_value(), store.secret_context)


def _secret_to_keep(known: UserStoreSettings, spec: UserStoreSpec, box: SecretBox) -> str | None:
    """The sealed password after a change: a new one, the old one, or none for another address or name."""
    if spec.basic is None:
        return None
    if spec.basic.password is None:
        same_service = (known.url, known.basic_username) == (spec.url, spec.basic.username)
        return known.sealed_password if same_service else None
    plain = spec.basic.password.get_secret_value().encode()
    if _opens_to(known, plain, box):
        return known.sealed_password
    return _sealed(spec, known, box)


def _opens_to(store: UserStoreSettings, plain: bytes, box: SecretBox) -> bool:
    try:
        return box.open(store.sealed_password or "", store.secret_context) == plain
    except SecretUnreadable:
        return False
