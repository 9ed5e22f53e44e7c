"""API keys: a secret of an application that its calls show instead of a token.

Made here and shown once; what is kept is its SHA-256, because each gateway node looks it up by that. It has
256 random bits, so nobody finds it from its hash. It stands for the application, never for a user, and has no
scope.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network
from urllib.parse import urlsplit

from pydantic import SecretStr
from sqlalchemy import Connection

from ostiary.apim import repository
from ostiary.apim.applications import get_application
from ostiary.apim.errors import Conflict, Invalid, NotFound
from ostiary.apim.model import APIKey, KeyType, parse_name
from ostiary.foundation import audit
from ostiary.foundation.events import Event, record
from ostiary.foundation.identifiers import new_id

PREFIX = "ostiary_key_"
"""What every key begins with, so that scanners recognise one that leaked."""
MOST_OF_AN_APPLICATION = 100
_MOST_RESTRICTIONS = 20
_HOST = re.compile(r"(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,=:@%-]+)*")


@dataclass(frozen=True, slots=True)
class APIKeySpec:
    """What a subscriber says about a key."""

    name: str
    key_type: KeyType = KeyType.PRODUCTION
    expires_at: datetime | None = None
    addresses: tuple[str, ...] = ()
    referers: tuple[str, ...] = ()


def create_api_key(
    connection: Connection, organization_id: str, application_id: str, spec: APIKeySpec, now: datetime
) -> tuple[APIKey, SecretStr]:
    """Make a key for an application; the secret is in the answer and nowhere else.

    Raises:
        NotFound: the organization has no such application.
        Invalid: a value that cannot be.
        Conflict: the application has a key of that name, or too many.
    """
    application = get_application(connection, organization_id, application_id)
    parse_name(spec.name)
    if spec.expires_at is not None and spec.expires_at <= now:
        raise Invalid("expires_at", spec.expires_at.isoformat(), "a time to come")
    held = repository.api_keys_of(connection, organization_id, application_id)
    if len(held) >= MOST_OF_AN_APPLICATION:
        raise Conflict(f"{application.name} has {len(held)} API keys; revoke one first")
    if any(key.name == spec.name for key in held):
        raise Conflict(f"{application.name} has an API key {spec.name} already")
    secret = SecretStr(PREFIX + secrets.token_urlsafe(32))
    key = APIKey(
        id=new_id(),
        organization_id=organization_id,
        application_id=application_id,
        key_type=spec.key_type,
        name=spec.name,
        sha256=hashlib.sha256(secret.get_secret_value().encode()).hexdigest(),
        created_at=now,
        expires_at=spec.expires_at,
        addresses=parse_networks(spec.addresses),
        referers=parse_referers(spec.referers),
    )
    repository.insert_api_key(connection, key)
    record(connection, Event("api_key", organization_id, key.sha256))
    audit.note(connection, organization_id, "api_key", key.id, None, key)
    return key, secret


def list_api_keys(connection: Connection, organization_id: str, application_id: str) -> list[APIKey]:
    """The keys of an application, by name.

    Raises:
        NotFound: the organization has no such application.
    """
    get_application(connection, organization_id, application_id)
    return repository.api_keys_of(connection, organization_id, application_id)


def revoke_api_key(connection: Connection, organization_id: str, application_id: str, key_id: str) -> None:
    """Take a key away; its calls are refused within a second.

    Raises:
        NotFound: the application has no such key.
    """
    for key in list_api_keys(connection, organization_id, application_id):
        if key.id == key_id:
            repository.remove_api_key(connection, organization_id, key_id)
            record(connection, Event("api_key", organization_id, key.sha256))
            audit.note(connection, organization_id, "api_key", key_id, key, None)
            return
    raise NotFound("API key", key_id)


def parse_networks(values: tuple[str, ...]) -> tuple[str, ...]:
    """Check addresses and networks (IPv4 or IPv6); a single address becomes its own network.

    Raises:
        Invalid: one of them is neither, or there are too many.
    """
    found = []
    for text in _few("permitted_ips", values):
        try:
            found.append(str(ip_network(text)))
        except ValueError as error:
            expected = f"an address or a network such as 192.0.2.0/24: {error}"
            raise Invalid("permitted_ips", repr(text), expected) from None
    return tuple(found)


def parse_referers(values: tuple[str, ...]) -> tuple[str, ...]:
    """Check where calls may come from: an origin, possibly any sub-domain of it, possibly below a path.

    Raises:
        Invalid: one of them is not that, or there are too many.
    """
    return tuple(_referer(text) for text in _few("permitted_referers", values))


def _referer(text: str) -> str:
    expected = "an origin such as https://shop.example or https://*.shop.example, possibly with a path"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Invalid("permitted_referers", repr(text), expected) from None
    host = parts.netloc.lower().removesuffix(f":{port}")
    plain = parts.scheme in ("http", "https") and not (parts.query or parts.fragment or text.endswith("#"))
    if (
        not plain
        or len(text) > 200
        or not _HOST.fullmatch(host)
        or not _PATH.fullmatch(parts.path.rstrip("/"))
    ):
        raise Invalid("permitted_referers", repr(text), expected)
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _few(field: str, values: tuple[str, ...]) -> tuple[str, ...]:
    if len(values) > _MOST_RESTRICTIONS or len(set(values)) < len(values):
        raise Invalid(field, f"{len(values)} values", f"at most {_MOST_RESTRICTIONS}, each once")
    return values
