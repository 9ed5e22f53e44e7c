"""Issuing tokens to a client for a user who has just been authenticated, by whatever grant."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.foundation.identifiers import new_id
from ostiary.identity import AuthenticatedUser
from ostiary.oauth.grants.request import GrantRequest, current_client, decide_scope, note_issue
from ostiary.oauth.model import GrantType
from ostiary.oauth.repository.tokens import AccessRecord
from ostiary.oauth.tokens.issuing import Issued, TokenIssuer, claims_for_user
from ostiary.organizations import current_epoch
from ostiary.permissions import Member


class NotAsked(Exception):
    """The client has just stopped taking users of that store."""


class Issue(Protocol):
    """Issues tokens for a user who has been authenticated in this transaction."""

    def __call__(self, user: AuthenticatedUser, until: datetime | None = None) -> Issued:
        """The access token does not outlive `until`."""
        ...


def issuing(issuer: TokenIssuer, request: GrantRequest, clock: Clock) -> Callable[[Connection], Issue]:
    """What a login is for (`Continuation`, `Vouched`): tokens, in the transaction that admits the user."""

    def begin(connection: Connection) -> Issue:
        epoch = current_epoch(connection, request.organization.id)  # first: a race then over-refuses

        def issue(user: AuthenticatedUser, until: datetime | None = None) -> Issued:
            return _issue(connection, issuer, request, user, epoch, clock(), until)

        return issue

    return begin


def _issue(
    connection: Connection,
    issuer: TokenIssuer,
    request: GrantRequest,
    user: AuthenticatedUser,
    epoch: int,
    now: datetime,
    until: datetime | None,
) -> Issued:
    """Issue an access token and, to a client registered for it, the first refresh token of a family.

    Raises:
        NotAsked: see there.
        InvalidClient: the client is gone.
        UnauthorizedClient: it lost this grant type.
        InvalidScope: a strict client asked for what this user may not have.
    """
    subject = user.subject
    client = current_client(connection, request)
    if not client.asks(subject.store):
        raise NotAsked(f"the client has just stopped asking {subject.store}")
    member = Member(subject.id, subject.store, subject.username, user.groups)
    scope = decide_scope(connection, client, request.scope, member)
    ends_at = now + issuer.access_lifetime(client)
    access = AccessRecord(new_id(), scope, epoch, now, ends_at if until is None else min(ends_at, until))
    begins_family = GrantType.REFRESH_TOKEN in client.grant_types
    family_id = new_id() if begins_family else None
    claims = claims_for_user(request.organization, client, subject, access, family_id)
    note_issue(connection, request, claims)
    if not begins_family:
        return issuer.access_token(connection, client, claims)
    return issuer.first_of_family(connection, client, claims, subject, user.groups)
