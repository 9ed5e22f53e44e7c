"""Putting, listing and deleting user stores.

The functions run inside the caller's transaction, so that an organization file can apply them
all in one. Secrets are write-only, and a changed address clears them: a secret kept for one
service is never sent to another.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection

from ostiary.foundation import audit
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.secrets import SecretBox, SecretUnreadable, same
from ostiary.identity.challenges import repository as challenge_answers
from ostiary.identity.errors import (
    InvalidUserName,
    InvalidUserStore,
    UnknownUser,
    UnknownUserStore,
    UserStoreInUse,
)
from ostiary.identity.model import RESERVED_STORES, USUAL_OPTIONS, UserStoreSettings, UserStoreSpec
from ostiary.identity.repository import kept_credentials, subjects, user_stores
from ostiary.identity.user_names import UserName, is_text
from ostiary.identity.user_stores.directory import USER_STORES
from ostiary.identity.user_stores.type_settings import TypeSettings
from ostiary.organizations import by_id, narrow

_NAME = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,62}\Z")
LONGEST_SECRET = 20_000
"""Characters: a private key in PEM fits."""
_MOST_NARROWED_ONE_BY_ONE = 200

AskingClients = Callable[[Connection, str, str], Sequence[str]]
"""The ids of an organization's clients that have the store of that name on their own lists."""


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
        wanted = replace(wanted, sealed=_sealed(wanted, spec, box))
        if user_stores.add(connection, wanted):
            audit.note(connection, spec.organization_id, "user_store", wanted.name, None, wanted)
            return True
        return put_user_store(connection, spec, box, policy)  # somebody else has just made it
    wanted = _settings(replace(spec, name=name), known.id, known.position, known.revision)
    wanted = replace(wanted, sealed=_kept(known, spec) | _sealed(known, spec, box))
    if wanted == known:
        return False
    user_stores.change(connection, replace(wanted, revision=known.revision + 1))
    audit.note(connection, spec.organization_id, "user_store", known.name, known, wanted)
    if not spec.settings.TAKES_PASSWORDS:
        kept_credentials.remove_all(connection, spec.organization_id, known.id)
    if known.options.enabled and not wanted.options.enabled:
        _narrow_users(connection, known)
    return True


def list_user_stores(connection: Connection, organization_id: str) -> Sequence[UserStoreSettings]:
    """The organization's stores in the order they are asked after PRIMARY; secrets stay sealed."""
    return user_stores.chain(connection, organization_id)


def find_user_store(connection: Connection, organization_id: str, name: str) -> UserStoreSettings | None:
    """The store of that name, whatever its case."""
    known = _canonical_name(name)
    return None if known is None else user_stores.find(connection, organization_id, known)


def options_of(store: UserStoreSettings) -> dict[str, Any]:
    """The options that mean something for the store's type, as JSON."""
    return store.options.model_dump(mode="json", exclude=set(USER_STORES[store.type].settings.NO_OPTIONS))


def delete_user_store(connection: Connection, organization_id: str, name: str, asking: AskingClients) -> None:
    """Remove the store; tokens of its users are refused from now on.

    A store of the same name made later has other people in it: they get other subjects.

    Raises:
        UnknownUserStore: there is none of that name.
        UserStoreInUse: clients have it on their lists; what they ask without it is not ours to say.
    """
    store = find_user_store(connection, organization_id, name)
    if store is None:
        raise UnknownUserStore(name)
    if clients := asking(connection, organization_id, store.name):
        raise UserStoreInUse(store.name, clients)
    user_stores.remove(connection, organization_id, store.name)
    audit.note(connection, organization_id, "user_store", store.name, store, None)
    kept_credentials.remove_all(connection, organization_id, store.id)
    challenge_answers.remove_answers_of_store(connection, organization_id, store.id)
    _narrow_users(connection, store)


def forget_credential(connection: Connection, organization_id: str, store_name: str, username: str) -> None:
    """Forget the password kept of a person of a store that is moved away from; their tokens are refused.

    Raises:
        UnknownUserStore: there is none of that name.
        UnknownUser: nothing is kept of that name there.
    """
    store = find_user_store(connection, organization_id, store_name)
    if store is None:
        raise UnknownUserStore(store_name)
    organization = by_id(connection, organization_id)
    try:
        name = UserName.parse(username, organization.name if organization else "")
    except InvalidUserName as error:
        raise UnknownUser(username) from error
    canonical = name.canonical(case_sensitive=store.case_sensitive)
    kept = kept_credentials.find(connection, organization_id, store.id, canonical)
    if kept is None:
        raise UnknownUser(username)
    kept_credentials.remove(connection, organization_id, store.id, kept.record.immutable_id)
    subject_id = subjects.id_of(connection, organization_id, store.id, kept.record.immutable_id)
    person = subject_id or audit.named(store.name, canonical)
    old = {"store": store.name, "username": audit.Personal(person, canonical)}
    audit.note(connection, organization_id, "kept_password", subject_id or store.name, old, None)
    if subject_id is not None:
        narrow(connection, organization_id, "subject", subject_id)


def _narrow_users(connection: Connection, store: UserStoreSettings) -> None:
    """Refuse the tokens that are out of everybody whose password that store checks."""
    here = store.organization_id
    seen = subjects.ids_at_store(connection, here, store.id, _MOST_NARROWED_ONE_BY_ONE + 1)
    if len(seen) > _MOST_NARROWED_ONE_BY_ONE:
        narrow(connection, here, "organization", here)
        return
    for subject_id in seen:
        narrow(connection, here, "subject", subject_id)


def settings_of(
    connection: Connection, spec: UserStoreSpec, policy: OutboundPolicy | None = None
) -> UserStoreSettings:
    """What a store would be, were it put: with the secrets that would stay, and none of `spec`'s own.

    Raises:
        InvalidUserStore: names the field and what was expected of it.
    """
    name = check_spec(spec, policy)
    known = user_stores.find(connection, spec.organization_id, name)
    if known is None:
        return _settings(replace(spec, name=name), "", position=0, revision=1)
    wanted = _settings(replace(spec, name=name), known.id, known.position, known.revision)
    return replace(wanted, sealed=_kept(known, spec))


def read_settings(type_name: str, settings: Mapping[str, Any]) -> TypeSettings:
    """What a user store of that type has of its own.

    Raises:
        InvalidUserStore: names the field and what was expected of it.
    """
    if type_name not in USER_STORES:
        raise InvalidUserStore("type", f"one of {', '.join(USER_STORES)}")
    return USER_STORES[type_name].settings.read(settings)


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
    for key in sorted(spec.settings.NO_OPTIONS):
        if getattr(spec.options, key) != getattr(USUAL_OPTIONS, key):
            raise InvalidUserStore(key, "nothing, because nobody is asked there")
    spec.settings.check(policy)
    for key, value in spec.settings.secrets().items():
        if not is_text(value.get_secret_value(), LONGEST_SECRET):
            raise InvalidUserStore(key, f"1 to {LONGEST_SECRET} characters")
    return name


def _canonical_name(name: str) -> str | None:
    """The name as it is kept, upper case; None where it cannot be a store's."""
    return name.upper() if name.isascii() and _NAME.match(name.upper()) else None


def _settings(spec: UserStoreSpec, store_id: str, position: int, revision: int) -> UserStoreSettings:
    return UserStoreSettings(
        id=store_id,
        organization_id=spec.organization_id,
        name=spec.name,
        type=spec.type,
        position=position if spec.position is None else spec.position,
        revision=revision,
        settings=spec.settings.without_secrets(),
        options=spec.options,
    )


def _kept(known: UserStoreSettings, spec: UserStoreSpec) -> dict[str, str]:
    """The secrets that stay: all that mean something still, unless they would go to another service."""
    before = read_settings(known.type, known.settings)
    if known.type != spec.type or before.service() != spec.settings.service():
        return {}
    return {key: sealed for key, sealed in known.sealed.items() if spec.settings.has_place_for(key)}


def _sealed(store: UserStoreSettings, spec: UserStoreSpec, box: SecretBox) -> dict[str, str]:
    """The secrets that are given, sealed; one that is the same as before stays as it was."""
    return {
        key: store.sealed[key] if _opens_to(store, key, plain, box) else _seal(store, key, plain, box)
        for key, plain in spec.settings.secrets().items()
    }


def _seal(store: UserStoreSettings, key: str, plain: SecretStr, box: SecretBox) -> str:
    return box.seal(plain.get_secret_value(), store.secret_context(key))


def _opens_to(store: UserStoreSettings, key: str, plain: SecretStr, box: SecretBox) -> bool:
    try:
        opened = box.open(store.sealed.get(key, ""), store.secret_context(key))
    except SecretUnreadable:
        return False
    return same(opened.decode(), plain.get_secret_value())
