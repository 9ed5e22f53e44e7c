"""What can be set of a directory. Active Directory differs in its defaults only."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from anyldap.ldap import dn as distinguished_names
from anyldap.ldapfilter import InvalidLDAPFilter, parseFilter
from pydantic import Field, SecretStr, field_validator, model_validator

from ostiary.foundation.http_client import OutboundPolicy, OutboundRefused
from ostiary.identity.errors import InvalidUserStore
from ostiary.identity.user_stores.type_settings import FileText, Section, TypeSettings

Attribute = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z][A-Za-z0-9-]*(;[A-Za-z0-9-]+)*$")]
DN = Annotated[str, Field(min_length=1, max_length=1000)]
Filter = Annotated[str, Field(min_length=3, max_length=2000)]
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Address:
    """One server of a directory."""

    host: str
    port: int
    tls: bool

    @property
    def url(self) -> str:
        """As an administrator writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ldaps' if self.tls else 'ldap'}://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone is meant, by its address or as `localhost`."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @classmethod
    def read(cls, url: str) -> Address:
        """Read `ldaps://HOST[:PORT]` or `ldap://HOST[:PORT]`.

        Raises:
            ValueError: it is something else.
        """
        parts = urlsplit(url)
        more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
        if parts.scheme not in ("ldap", "ldaps") or not parts.hostname or more:
            raise ValueError("an address such as ldaps://dc1.corp.example")
        tls = parts.scheme == "ldaps"
        return cls(parts.hostname, parts.port or (636 if tls else 389), tls)


class Bind(Section):
    """Who we are to the directory where people are looked for."""

    dn: DN
    password: SecretStr | None = Field(default=None, min_length=1, max_length=1024)


class Users(Section):
    """Where people are, and which of their attributes say who they are."""

    base: DN
    filter: Filter = "(&(objectClass=person)(uid={username}))"
    """Finds a person by the name that was typed, `{username}`."""
    id: Attribute = "entryUUID"
    """Never changes and is never given to anybody else."""
    name: Attribute = "uid"
    """The person's own name, whatever was typed."""

    @field_validator("filter")
    @classmethod
    def _filter(cls, text: str) -> str:
        return checked_filter(text, {"username"})


class Groups(Section):
    """Which groups a person is in: those a search finds, or those `member_of` names."""

    base: DN | None = None
    filter: Filter = "(member={dn})"
    """Finds the groups of a person, by `{dn}` or `{username}`; of a group, by its `{dn}` where `nested`."""
    name: Attribute = "cn"
    member_of: Attribute | None = None
    """The attribute of a person that names groups, such as memberOf."""
    nested: bool = False
    """Whether a group's groups count too."""

    @field_validator("filter")
    @classmethod
    def _filter(cls, text: str) -> str:
        return checked_filter(text, {"username", "dn"})

    @model_validator(mode="after")
    def _whole(self) -> Groups:
        if self.nested and "{dn}" not in self.filter:
            raise ValueError("a filter with {dn} where 'nested' is true")
        if self.base is None and (self.member_of is None or self.nested):
            raise ValueError("'base', where groups are searched" + (" ('nested' needs it too)" * self.nested))
        return self


class LDAPSettings(TypeSettings):
    """A directory, reached by LDAP (RFC 4511)."""

    ADDRESSES: ClassVar[frozenset[str]] = frozenset({"urls", "start_tls", "ca", "strict_x509", "bind"})

    urls: Annotated[
        list[Annotated[str, Field(pattern=r"^ldaps?://[^\s]+$")]], Field(min_length=1, max_length=8)
    ]
    """The servers, in the order in which they are asked: the next where one does not answer."""
    start_tls: bool = False
    """Whether an `ldap://` connection is made TLS before anything is said."""
    ca: FileText | None = None
    """Certificates in PEM of the authorities that are trusted; without it those of this machine."""
    strict_x509: bool = True
    """False takes certificates of authorities that say less than RFC 5280 asks for."""
    bind: Bind | None = None
    """Without it people are looked for anonymously."""
    users: Users
    dn_pattern: Annotated[str, Field(max_length=1000)] | None = None
    """Where everybody's DN follows from the name, such as `uid={username},ou=people,dc=corp,dc=example`."""
    groups: Groups | None = None
    claims: dict[str, Attribute] = Field(default_factory=dict, max_length=50)
    """Claim → attribute."""

    @field_validator("dn_pattern")
    @classmethod
    def _dn_pattern(cls, text: str | None) -> str | None:
        if text is not None and (_placeholders(text) != ["username"] or not is_dn(text.format(username="x"))):
            raise ValueError("a DN with {username} once, such as uid={username},ou=people,dc=corp,dc=example")
        return text

    @classmethod
    def looks_up(cls, kept: Mapping[str, Any]) -> bool:
        """See `TypeSettings`. Where people are found by nobody but themselves, nobody else can look."""
        return "bind" in kept or "dn_pattern" not in kept

    @property
    def addresses(self) -> list[Address]:
        """The servers."""
        return [Address.read(url) for url in self.urls]

    def check(self, policy: OutboundPolicy | None) -> None:
        """See `TypeSettings`."""
        for index, url in enumerate(self.urls):
            field = f"urls.{index}"
            try:
                address = Address.read(url)
            except ValueError:
                raise InvalidUserStore(field, "an address such as ldaps://dc1.corp.example") from None
            if not (address.tls or self.start_tls or address.is_loopback):
                expected = "ldaps://…, or 'start_tls: true', because passwords must not travel in the clear"
                raise InvalidUserStore(field, expected)
            _check_literal(field, address, policy)
        for field, dn in self._dns():
            if not is_dn(dn):
                raise InvalidUserStore(field, "a DN such as ou=people,dc=corp,dc=example")
        if self.dn_pattern is not None and not is_below(self.dn_pattern, self.users.base):
            expected = "a DN below 'users.base', where people are looked up without a password"
            raise InvalidUserStore("dn_pattern", expected)
        if self.start_tls and any(address.tls for address in self.addresses):
            raise InvalidUserStore("start_tls", "false for ldaps:// addresses, which are TLS from the start")

    def _dns(self) -> Iterator[tuple[str, str]]:
        yield "users.base", self.users.base
        if self.bind is not None:
            yield "bind.dn", self.bind.dn
        if self.groups is not None and self.groups.base is not None:
            yield "groups.base", self.groups.base


class ADUsers(Users):
    """Where people are in Active Directory."""

    filter: Filter = (
        "(&(objectCategory=person)(objectClass=user)"
        "(|(sAMAccountName={username})(userPrincipalName={username})))"
    )
    id: Attribute = "objectGUID"
    name: Attribute = "sAMAccountName"


class ADSettings(LDAPSettings):
    """Active Directory: the same with other defaults. Groups are those of `memberOf` unless said."""

    users: ADUsers
    groups: Groups | None = Groups(member_of="memberOf")


def is_below(dn: str, base: str) -> bool:
    """Whether the first is in the tree of the second; both are DNs (RFC 4514)."""
    inner, outer = (distinguished_names.str2dn(one.lower()) for one in (dn, base))
    return len(inner) > len(outer) and inner[-len(outer) :] == outer


def is_dn(text: str) -> bool:
    """Whether this is a distinguished name (RFC 4514), or a name that Active Directory takes for one."""
    return distinguished_names.is_dn(text) or bool(re.fullmatch(r"[^\s@\\]+(@[^\s@]+|\\[^\s\\]+)", text))


def checked_filter(text: str, known: set[str]) -> str:
    """The filter, if it is one (RFC 4515) that has placeholders, and none but these.

    Raises:
        ValueError: says what was expected.
    """
    found = _placeholders(text)
    if not found or not set(found) <= known:
        raise ValueError(f"a filter with placeholders, and none but {', '.join(sorted(known))}")
    try:
        parseFilter(_PLACEHOLDER.sub("x", text))
    except InvalidLDAPFilter as error:
        raise ValueError(f"a filter of RFC 4515 ({error})") from None
    return text


def _placeholders(text: str) -> list[str]:
    return _PLACEHOLDER.findall(text)


def _check_literal(field: str, address: Address, policy: OutboundPolicy | None) -> None:
    try:
        literal = ipaddress.ip_address(address.host)
    except ValueError:
        return  # names are resolved and checked where they are connected to
    try:
        (policy or OutboundPolicy()).check_address(literal, address.port)
    except OutboundRefused as error:
        if policy is not None or "allowed_networks" not in str(error):
            raise InvalidUserStore(field, str(error)) from error
