"""One connection to one server of a directory (RFC 4511). The only module that knows anyldap's connections.

A connection is used by one login at a time: anyldap notes an operation after its request was sent, so an
answer that is read by somebody else meanwhile would be lost.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from anyio.streams.tls import TLSAttribute
from anyldap.ldap import (
    OPT_REFERRALS,
    SCOPE_BASE,
    SCOPE_SUBTREE,
    errors,
)
from anyldap.ldap.constants import RES_SEARCH_RESULT
from anyldap.ldap.controls.pagedresults import SimplePagedResultsControl
from anyldap.ldap.controls.ppolicy import PasswordPolicyControl
from anyldap.ldap.ldapobject import SimpleLDAPObject
from anyldap.protocols import pureldap
from anyldap.protocols.pureber import BERBase
from pydantic import SecretStr

from ostiary.foundation.http_client import OutboundFailed, OutboundPolicy, OutboundRefused
from ostiary.identity.user_stores.contract import StoreUnavailable
from ostiary.identity.user_stores.ldap.settings import Address

DirectoryError = errors.LDAPError
InvalidCredentials = errors.INVALID_CREDENTIALS
NoSuchObject = errors.NO_SUCH_OBJECT
SizeLimitExceeded = errors.SIZELIMIT_EXCEEDED
ServerGone = (errors.SERVER_DOWN, errors.CONNECT_ERROR)
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """What a search found: a DN and the attributes that were asked for, by lower-case name."""

    dn: str
    attributes: Mapping[str, Sequence[bytes]]

    def values(self, attribute: str) -> Sequence[bytes]:
        """Every value of an attribute; none where it has none."""
        return self.attributes.get(attribute.lower(), ())


class _NamedContext(ssl.SSLContext):
    """Checks certificates for the name in the settings: what is connected to is a checked address."""

    host = ""

    def wrap_bio(  # as the library's, but for the name
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, self.host, session)


def tls_context(host: str, ca: str | None, strict: bool) -> ssl.SSLContext:
    """TLS 1.2 or newer to this host, whose certificate is checked against `ca` or this machine's authorities.

    Raises:
        ValueError: `ca` holds no certificate.
    """
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.host = host
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(cadata=ca)
        except ssl.SSLError as error:
            raise ValueError("certificates in PEM") from error
    if strict:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


class _Connection(SimpleLDAPObject):
    """Takes filters that are read already: anyldap reads the text again for each search, which costs as much
    as the rest of it."""

    async def found(
        self,
        base: str,
        scope: int,
        query: BERBase,
        attributes: Sequence[str],
        limit: int,
        controls: Any = None,
    ) -> tuple[Any, Any]:
        request = pureldap.LDAPSearchRequest(
            baseObject=base,
            scope=scope,
            derefAliases=self.deref,
            sizeLimit=limit,
            timeLimit=0,
            typesOnly=0,
            filter=query,
            attributes=list(attributes),
        )
        number = await self._start(request, controls, RES_SEARCH_RESULT, pureldap.LDAPSearchResultDone)
        _, data, _, answered = await self.result3(number)
        return data, answered


class DirectoryConnection:
    """A connection that is open; TLS where the settings say so."""

    def __init__(self, connection: _Connection, address: Address) -> None:
        self._connection = connection
        self.address = address

    @classmethod
    async def open(
        cls, address: Address, policy: OutboundPolicy, context: ssl.SSLContext | None, *, start_tls: bool
    ) -> DirectoryConnection:
        """Connect to the first of the host's addresses, all of which are checked.

        Raises:
            StoreUnavailable: the address is refused, nobody answers, or its certificate is not the right one.
        """
        try:
            found = await policy.resolve(address.host, address.port)
        except OutboundRefused as error:
            raise StoreUnavailable(f"address_refused: {error}") from error
        except OutboundFailed as error:
            raise StoreUnavailable(f"{address.host} does not resolve", down=True) from error
        checked = Address(str(found[0]), address.port, address.tls)
        connection = _Connection(checked.url, ssl_context=context)
        connection.set_option(OPT_REFERRALS, 0)  # a referral says where else a password would be sent
        made = cls(connection, address)
        try:
            if start_tls:
                await connection.start_tls_s()
            else:
                await connection._connected()
        except (DirectoryError, OSError) as error:
            await made.close()
            raise StoreUnavailable(f"{address.url}: {_why(error)}", down=True) from error
        except BaseException:
            await made.close()
            raise
        return made

    def peer(self) -> dict[str, object] | None:
        """Who answered, by its certificate; None without TLS."""
        stream = self._connection._stream
        secured = None if stream is None else stream.extra(TLSAttribute.ssl_object, None)  # noqa: S610 (no Django)
        if secured is None:
            return None
        certificate = secured.getpeercert() or {}
        names = [str(pair[1]) for pair in certificate.get("subjectAltName", ())]
        return {"version": secured.version(), "names": names, "until": certificate.get("notAfter")}

    async def bind(self, dn: str, password: SecretStr) -> PasswordPolicyControl | None:
        """Say who we are (RFC 4513 §5.1). Returns what the password policy says, where there is one.

        Raises:
            DirectoryError: refused, or no answer.
        """
        secret = password.get_secret_value()
        if not secret:  # an unauthenticated bind succeeds and proves nothing (RFC 4513 §5.1.2)
            raise InvalidCredentials({"desc": "an empty password"})
        _, _, _, controls = await self._connection.simple_bind_s(dn, secret, [PasswordPolicyControl()])
        return next((one for one in controls if isinstance(one, PasswordPolicyControl)), None)

    async def find(self, base: str, query: BERBase, attributes: Sequence[str]) -> list[Entry]:
        """The entries below `base`, two at most: whoever looks for one wants to know that there are more.

        Raises:
            DirectoryError: refused, or no answer.
        """
        try:
            data, _ = await self._connection.found(base, SCOPE_SUBTREE, query, attributes, 2)
        except SizeLimitExceeded:
            return [Entry("", {}), Entry("", {})]
        return [_entry(dn, values) for dn, values in data if dn is not None]

    async def search(self, base: str, query: BERBase, attributes: Sequence[str], limit: int) -> list[Entry]:
        """At most `limit` entries below `base`; one more where there are more.

        Raises:
            DirectoryError: refused, or no answer.
        """
        found: list[Entry] = []
        page = SimplePagedResultsControl(criticality=False, size=min(limit + 1, _PAGE))
        while True:
            data, controls = await self._connection.found(base, SCOPE_SUBTREE, query, attributes, 0, [page])
            found += [_entry(dn, values) for dn, values in data if dn is not None]
            cookie = next(
                (one.cookie for one in controls if isinstance(one, SimplePagedResultsControl)), None
            )
            if not cookie or len(found) > limit:
                return found[: limit + 1]
            page = SimplePagedResultsControl(criticality=False, size=_PAGE, cookie=cookie)

    async def read(self, dn: str, query: BERBase, attributes: Sequence[str]) -> Entry | None:
        """The entry of that DN; None where there is none, or it is not one the filter finds.

        Raises:
            DirectoryError: refused, or no answer.
        """
        try:
            data, _ = await self._connection.found(dn, SCOPE_BASE, query, attributes, 1)
        except NoSuchObject:
            return None
        return next((_entry(name, values) for name, values in data if name is not None), None)

    async def close(self) -> None:
        """Say goodbye. Never fails."""
        try:
            await self._connection.unbind_s()
        except (DirectoryError, OSError):
            return


def _entry(dn: str, values: Mapping[str, Sequence[bytes]]) -> Entry:
    return Entry(dn, {name.lower(): found for name, found in values.items()})


def _why(error: BaseException) -> str:
    """What an administrator needs to know of a connection that failed."""
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message})"
    if isinstance(cause, ssl.SSLError):
        return f"no TLS there ({cause.reason})"
    if isinstance(cause, OSError):
        return cause.strerror or "nobody answers"
    return str(getattr(error, "info", None) or type(error).__name__)
