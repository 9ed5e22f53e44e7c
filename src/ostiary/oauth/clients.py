"""Register, change and remove clients (RFC 6749 §2).

Every function is one step of somebody's transaction, so that a whole organization file is one
(`ostiary apply`). A change that takes something away from a client narrows it: its tokens already
issued are refused within a second.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import SecretStr
from sqlalchemy import Connection

from ostiary.foundation import audit
from ostiary.foundation.events import Event, record
from ostiary.foundation.secrets import SecretBox, random_token, same
from ostiary.identity import PRIMARY, list_user_stores
from ostiary.oauth.errors import BadField, ClientIdTaken, UnknownClient
from ostiary.oauth.model import (
    INTERNAL_PREFIX,
    Client,
    ClientSpec,
    GrantType,
    Validity,
    is_reserved,
    is_scope_token,
    is_text,
)
from ostiary.oauth.repository import clients as repository
from ostiary.organizations import narrow

_GRANT_TYPES = frozenset(map(str, GrantType))

_CLIENT_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~-]{0,127}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SECRET = re.compile(r"[\x20-\x7E]{1,256}")
_LONGEST = timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class PutClient:
    """What `put_client` did. `secret` is what this call set, to be shown once; None where it set none."""

    client: Client
    secret: SecretStr | None
    is_new: bool
    is_changed: bool


def put_client(
    connection: Connection,
    box: SecretBox,
    organization_id: str,
    spec: ClientSpec,
    now: datetime,
    *,
    set_secret: bool = False,
) -> PutClient:
    """Create a client, or make a known one what `spec` says; repeating it changes nothing.

    A known client's secret stays unless `set_secret`; then it becomes `spec.secret`, or a new one.

    Raises:
        BadField: `spec` is wrong; names the field and what was expected.
        ClientIdTaken: another organization of the installation has this client id.
    """
    found = check_client(connection, organization_id, spec)
    _check_stores_exist(connection, organization_id, spec)
    if found is None:
        return _create(connection, box, organization_id, spec, now)
    secret = _new_secret(spec) if set_secret or (found.secret_fingerprint is None) else None
    client = _built(spec, found.client_id, organization_id, _fingerprint(box, found.client_id, secret))
    if secret is None and not spec.is_public:
        client = replace(client, secret_fingerprint=found.secret_fingerprint)
    return _change(connection, found, client, secret)


def check_client(connection: Connection, organization_id: str, spec: ClientSpec) -> Client | None:
    """The client that `put_client` would change; None where it would create one.

    Raises:
        BadField: `spec` is wrong; names the field and what was expected.
        ClientIdTaken: another organization of the installation has this client id.
    """
    check_spec(spec)
    found = None if spec.client_id is None else repository.find_anywhere(connection, spec.client_id)
    if found is not None and found.organization_id != organization_id:
        raise ClientIdTaken(found.client_id)
    return found


def find_client(connection: Connection, organization_id: str, client_id: str) -> Client | None:
    """The organization's client of that id."""
    return repository.find(connection, organization_id, client_id) if is_client_id(client_id) else None


def clients_asking(connection: Connection, organization_id: str, store: str) -> list[str]:
    """The ids of the clients whose own list of user stores has that one."""
    return repository.asking(connection, organization_id, store)


def list_clients(connection: Connection, organization_id: str) -> list[Client]:
    """The organization's clients, by id."""
    return repository.all_of(connection, organization_id)


def clients_after(connection: Connection, organization_id: str, client_id: str, at_most: int) -> list[Client]:
    """The organization's next clients after that id, by id."""
    return repository.after(connection, organization_id, client_id, at_most)


def delete_client(connection: Connection, organization_id: str, client_id: str) -> None:
    """Remove a client; all its tokens die with it.

    Raises:
        UnknownClient: the organization has none of that id.
    """
    found = find_client(connection, organization_id, client_id)
    if found is None or not repository.remove(connection, organization_id, client_id):
        raise UnknownClient(client_id)
    audit.note(connection, organization_id, "client", client_id, found, None)
    narrow(connection, organization_id, "client", client_id)
    record(connection, Event("client", organization_id, client_id))


def secret_is_right(box: SecretBox, client: Client | None, client_id: str, secret: str) -> bool:
    """Compare a secret in constant time; an unknown or public client takes as long and is never right."""
    presented = box.fingerprint(secret, f"clients:secret:{client_id}")
    expected = client.secret_fingerprint if client is not None else None
    return same(presented, expected or "-" * len(presented)) and expected is not None


def is_client_id(text: str) -> bool:
    """Whether a client can have this id at all."""
    return _CLIENT_ID.fullmatch(text) is not None


def check_spec(spec: ClientSpec) -> None:
    """Refuse a client that must not exist.

    Raises:
        BadField: names the first wrong field and what was expected.
    """
    for field, is_good, expected in _rules(spec):
        if not is_good:
            raise BadField(field, expected)


def _rules(spec: ClientSpec) -> Iterator[tuple[str, bool, str]]:
    client_id, secret = spec.client_id, spec.secret
    yield (
        "client_id",
        client_id is None or bool(_CLIENT_ID.fullmatch(client_id)),
        "1 to 128 of A-Z, a-z, 0-9 and . _ ~ -, starting with a letter, a digit or _",
    )
    yield (  # the `sub` of an application's token is its client id: RFC 9700 §4.15
        "client_id",
        client_id is None or not _UUID.fullmatch(client_id),
        "not the form of a UUID, which a user's subject identifier has",
    )
    yield "name", is_text(spec.name, 200), "at most 200 printable characters"
    yield (
        "client_secret",
        secret is None or bool(_SECRET.fullmatch(secret.get_secret_value())),
        "1 to 256 printable ASCII characters (RFC 6749 appendix A.2)",
    )
    yield (
        "client_secret",
        secret is None or not spec.is_public,
        "none, because a public client keeps no secret",
    )
    yield "grant_types", spec.grant_types <= _GRANT_TYPES, f"any of {', '.join(sorted(_GRANT_TYPES))}"
    yield (  # RFC 6749 §4.4; design: the password grant never for public clients
        "grant_types",
        not spec.is_public or spec.grant_types <= {"refresh_token"},
        "neither password nor client_credentials, because the client is public",
    )
    yield from _scope_rules(spec)
    yield from _user_store_rules(spec)
    for field, lifetime in (
        ("access_token_lifetime", spec.access_token_lifetime),
        ("refresh_token_lifetime", spec.refresh_token_lifetime),
    ):
        is_good = lifetime is None or timedelta(seconds=1) <= lifetime <= _LONGEST
        yield field, is_good, "between one second and 100 years"


def _scope_rules(spec: ClientSpec) -> Iterator[tuple[str, bool, str]]:
    named = {"scopes": spec.scopes or frozenset(), "default_scope": spec.default_scope}
    for field, values in named.items():
        yield (
            field,
            all(map(is_scope_token, values)),
            "scope names of RFC 6749 §3.3, without spaces or quotes",
        )
        internal = {value for value in values if value == "SYSTEM" or value.startswith(INTERNAL_PREFIX)}
        yield field, not internal or spec.internal_scopes, "internal scopes only with internal_scopes: true"
        reserved = {value for value in values - internal if is_reserved(value)}
        yield field, not reserved, f"not the reserved {', '.join(sorted(reserved))}"
    allowed = spec.default_scope if spec.scopes is None else spec.scopes
    yield "default_scope", spec.default_scope <= allowed, "scopes that the client's own list has too"


def _user_store_rules(spec: ClientSpec) -> Iterator[tuple[str, bool, str]]:
    stores = spec.user_stores
    yield (
        "user_stores",
        stores is None or len(stores) > 0,
        "at least one store, or none of this key at all: then the organization's chain is asked",
    )
    yield "user_stores", stores is None or len(set(stores)) == len(stores), "each store once"


def _check_stores_exist(connection: Connection, organization_id: str, spec: ClientSpec) -> None:
    if spec.user_stores is None:
        return
    known = [PRIMARY, *(store.name for store in list_user_stores(connection, organization_id))]
    if not set(spec.user_stores) <= set(known):
        raise BadField("user_stores", f"user stores there are: {', '.join(known)}")


def _create(
    connection: Connection, box: SecretBox, organization_id: str, spec: ClientSpec, now: datetime
) -> PutClient:
    client_id = spec.client_id or f"c{random_token(20)}"
    secret = _new_secret(spec)
    client = _built(spec, client_id, organization_id, _fingerprint(box, client_id, secret))
    repository.add(connection, client, now)
    audit.note(connection, organization_id, "client", client_id, None, client)
    record(connection, Event("client", organization_id, client_id))
    return PutClient(client, secret, is_new=True, is_changed=True)


def _change(connection: Connection, old: Client, new: Client, secret: SecretStr | None) -> PutClient:
    if new == old:
        return PutClient(new, None, is_new=False, is_changed=False)
    repository.change(connection, new)
    audit.note(connection, new.organization_id, "client", new.client_id, old, new)
    if is_narrower(old, new):
        narrow(connection, new.organization_id, "client", new.client_id)
    record(connection, Event("client", new.organization_id, new.client_id))
    return PutClient(new, secret, is_new=False, is_changed=True)


def is_narrower(old: Client, new: Client) -> bool:
    """Whether tokens issued to `old` may carry what `new` may not have."""
    fewer_scopes = new.scopes is not None and (old.scopes is None or not old.scopes <= new.scopes)
    return (
        fewer_scopes
        or _asks_fewer(old, new)
        or (new.is_disabled and not old.is_disabled)
        or (old.internal_scopes and not new.internal_scopes)
        or not old.grant_types <= new.grant_types
        or (old.validity is Validity.UNLIMITED and new.validity is not Validity.UNLIMITED)
    )


def _asks_fewer(old: Client, new: Client) -> bool:
    return new.user_stores is not None and (
        old.user_stores is None or not set(old.user_stores) <= set(new.user_stores)
    )


def _new_secret(spec: ClientSpec) -> SecretStr | None:
    return None if spec.is_public else spec.secret or SecretStr(random_token(24))


def _fingerprint(box: SecretBox, client_id: str, secret: SecretStr | None) -> str | None:
    return (
        None if secret is None else box.fingerprint(secret.get_secret_value(), f"clients:secret:{client_id}")
    )


def _built(spec: ClientSpec, client_id: str, organization_id: str, fingerprint: str | None) -> Client:
    return Client(
        client_id=client_id,
        organization_id=organization_id,
        name=spec.name or client_id,
        secret_fingerprint=fingerprint,
        grant_types=spec.grant_types,
        token_format=spec.token_format,
        scopes=spec.scopes,
        default_scope=spec.default_scope,
        strict_scopes=spec.strict_scopes,
        internal_scopes=spec.internal_scopes,
        is_public=spec.is_public,
        is_disabled=spec.is_disabled,
        access_token_lifetime=spec.access_token_lifetime,
        refresh_token_lifetime=spec.refresh_token_lifetime,
        validity=spec.validity,
        user_stores=spec.user_stores,
    )
