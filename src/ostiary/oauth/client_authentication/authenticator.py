"""Decide whether a client is who it says (RFC 6749 §2.3, §3.2.1).

An unknown client, a wrong secret, a disabled client and another organization's client get the same
answer in the same time: nobody can find out which client ids exist.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from ostiary.foundation.database import Database
from ostiary.foundation.secrets import SecretBox
from ostiary.foundation.telemetry import get_logger
from ostiary.oauth.client_authentication.credentials import FAILED, ClientCredentials
from ostiary.oauth.clients import is_client_id, secret_is_right
from ostiary.oauth.errors import InvalidClient
from ostiary.oauth.model import Client
from ostiary.oauth.repository.clients import find_anywhere
from ostiary.organizations import Organization, by_id

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """A client that is who it says, with its organization."""

    client: Client
    organization: Organization


class ClientAuthenticator:
    """Checks client credentials against the registered clients."""

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box

    async def authenticate(
        self, credentials: ClientCredentials, organization_name: str | None
    ) -> AuthenticatedClient:
        """The client of these credentials.

        `organization_name` is that of the URL; None at an unprefixed one, where the organization is
        the client's. A public client passes by naming itself, and has no secret to be right about.

        Raises:
            InvalidClient: for every reason with one text (RFC 6749 §5.2).
        """
        client_id = credentials.client_id if is_client_id(credentials.client_id) else ""
        proven: list[AuthenticatedClient | None] = []

        def fits(known: AuthenticatedClient | None) -> bool:
            if self._is_proven(known, credentials):
                proven.append(known)
            return bool(proven)

        found = await self._database.recall(  # a refusal is one read, always
            ("client", client_id), lambda connection: _find(connection, client_id), fits
        )
        is_proven = bool(proven) or self._is_proven(found, credentials)
        reason = _objection(found, organization_name) if is_proven else "unknown client or wrong secret"
        if found is None or reason is not None:
            _log.info("client_refused", client_id=client_id or "?", reason=reason)
            raise InvalidClient(FAILED, reason)
        return found

    def _is_proven(self, found: AuthenticatedClient | None, credentials: ClientCredentials) -> bool:
        client = None if found is None else found.client
        secret = "" if credentials.secret is None else credentials.secret.get_secret_value()
        verbatim = None if credentials.verbatim is None else credentials.verbatim.get_secret_value()
        as_encoded = secret_is_right(self._box, client, credentials.client_id, secret)
        as_written = (  # asked whatever the first says
            False if verbatim is None else secret_is_right(self._box, client, credentials.client_id, verbatim)
        )
        if client is not None and client.is_public:
            return credentials.secret is None
        return as_encoded or as_written


def _find(connection: Connection, client_id: str) -> AuthenticatedClient | None:
    """The client and its organization; as many questions for an id nobody has."""
    client = find_anywhere(connection, client_id)
    organization = by_id(connection, "" if client is None else client.organization_id)
    if client is None or organization is None:
        return None
    return AuthenticatedClient(client, organization)


def _objection(found: AuthenticatedClient | None, organization_name: str | None) -> str | None:
    if found is None:
        return "unknown client"
    if organization_name is not None and found.organization.name != organization_name:
        return "another organization's client"
    return "disabled" if found.client.is_disabled else None
