"""The refresh token grant (RFC 6749 §6) with rotation (RFC 9700 §4.14.2).

A refresh token is used up by one conditional UPDATE; whoever comes second replays. Replay kills the
family, with one exception: a confidential client that lost the answer may ask again within a few
seconds and gets the same successor, never a second one.

Where the user's store has not been heard for a while, it is asked between two transactions: the first finds
that out before it has written anything, the second goes on with what the store said.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.secrets import SecretBox
from ostiary.foundation.telemetry import get_logger
from ostiary.identity import LookUps, Subject, Told, check_standing
from ostiary.oauth.errors import InvalidGrant
from ostiary.oauth.grants.request import GrantRequest, current_client, decide_scope, note_issue
from ostiary.oauth.model import Client
from ostiary.oauth.repository import tokens as repository
from ostiary.oauth.repository.tokens import AccessRecord, RefreshRecord, TokenFamily
from ostiary.oauth.settings import TokenSettings
from ostiary.oauth.tokens.issuing import (
    Issued,
    TokenIssuer,
    TokenResponse,
    claims_for_user,
    refresh_fingerprint,
)
from ostiary.oauth.tokens.revocation import revoke_family
from ostiary.organizations import current_epoch
from ostiary.permissions import Member

_log = get_logger(__name__)
_REFUSED = "the refresh token is not valid"


class _Refused(str):
    """Why a redemption is refused, for the log. A value, not an exception: a replay's revocation commits."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Holder:
    """Whose token it is, the name by which a role may be given, and the groups the user store told last."""

    subject: Subject
    own_name: str
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Due:
    """Whose store has to be asked before anything is issued, and when it last confirmed that user."""

    subject: Subject
    since: datetime | None


@dataclass(frozen=True, slots=True)
class _Redemption:
    """One refresh token presented by its client, with everything known of it in this transaction.

    `told` is what the user's store has just said; None where it was not asked.
    """

    value: str
    client: Client
    token: RefreshRecord
    family: TokenFamily
    epoch: int
    now: datetime
    told: Told | None


@dataclass(frozen=True, slots=True)
class RefreshTokenGrant:
    """Exchange a refresh token for a new access token and the next refresh token."""

    database: Database
    box: SecretBox
    issuer: TokenIssuer
    look_ups: LookUps
    settings: TokenSettings
    clock: Clock

    async def exchange(self, request: GrantRequest) -> TokenResponse:
        """Rotate: the original grant or less, of what holds now.

        Raises:
            InvalidRequest: `refresh_token` is missing.
            InvalidGrant: unknown, another client's, over, revoked, replayed, or its user may not go on.
            InvalidScope: a strict client asked for more than the original grant.
        """
        value = request.required("refresh_token")
        outcome = await self.database.write(lambda c: self._redeem(c, request, value, None), brief=True)
        if isinstance(outcome, _Due):
            told = await self.look_ups.ask(request.organization, outcome.subject, outcome.since)
            outcome = await self.database.write(lambda c: self._redeem(c, request, value, told), brief=True)
        if not isinstance(outcome, Issued):
            _log.info("refresh_refused", client_id=request.client.client_id, reason=str(outcome))
            raise InvalidGrant(_REFUSED, str(outcome))
        return self.issuer.response(outcome, self.clock())

    def _redeem(
        self, connection: Connection, request: GrantRequest, value: str, told: Told | None
    ) -> Issued | _Refused | _Due:
        organization_id = request.organization.id
        epoch = current_epoch(connection, organization_id)  # first: a race then over-refuses
        client = current_client(connection, request)
        token = repository.find_refresh(connection, refresh_fingerprint(self.box, value))
        if token is None or token.organization_id != organization_id:
            return _Refused("unknown")
        family = repository.find_family(connection, organization_id, token.family_id)
        if family is None or family.client_id != client.client_id:
            return _Refused("another client's")
        if family.revoked_at is not None:
            return _Refused("revoked")
        redemption = _Redemption(value, client, token, family, epoch, self.clock(), told)
        if token.consumed_at is not None:
            return self._again(connection, request, redemption)
        if token.expires_at <= redemption.now:
            return _Refused("expired")
        return self._rotate(connection, request, redemption)

    def _rotate(
        self, connection: Connection, request: GrantRequest, redemption: _Redemption
    ) -> Issued | _Refused | _Due:
        client, family, now = redemption.client, redemption.family, redemption.now
        holder = self._holder(connection, redemption)
        if not isinstance(holder, _Holder):
            return holder
        subject = holder.subject
        member = Member(subject.id, subject.store, holder.own_name, holder.groups)
        scope = decide_scope(connection, client, request.scope, member, bound=family.scope)
        access = AccessRecord(
            new_id(), scope, redemption.epoch, now, now + self.issuer.access_lifetime(client)
        )
        refresh_until = now + self.issuer.refresh_lifetime(client)
        if not repository.extend_family(connection, family, access.expires_at, refresh_until):
            return _Refused("revoked")
        if not repository.consume_refresh(connection, redemption.token, now):
            return self._again(connection, request, redemption)
        claims = claims_for_user(request.organization, client, subject, access, family.id)
        note_issue(connection, request, claims)
        return self.issuer.successor(connection, client, claims, family, redemption.value)

    def _again(
        self, connection: Connection, request: GrantRequest, redemption: _Redemption
    ) -> Issued | _Refused | _Due:
        """The token is used up already: the same answer once more, or the end of the family."""
        client, family = redemption.client, redemption.family
        successor = self._unanswered(connection, redemption)
        if successor is None:
            revoke_family(connection, request.organization.id, family.id, redemption.now)
            return _Refused("replayed")
        holder = self._holder(connection, redemption)
        if not isinstance(holder, _Holder):
            return holder
        claims = claims_for_user(request.organization, client, holder.subject, successor.access, family.id)
        return self.issuer.same_successor(connection, client, claims, redemption.value)

    def _unanswered(self, connection: Connection, redemption: _Redemption) -> RefreshRecord | None:
        """The successor, where the client may have lost the answer that carried it."""
        token = repository.find_refresh(connection, redemption.token.fingerprint)
        if redemption.client.is_public or token is None or token.consumed_at is None:
            return None
        if redemption.now - token.consumed_at > self.settings.refresh_retry_window:
            return None
        successor_value = self.issuer.successor_of(redemption.value)
        successor = repository.find_refresh(connection, refresh_fingerprint(self.box, successor_value))
        return successor if successor is not None and successor.consumed_at is None else None

    def _holder(self, connection: Connection, redemption: _Redemption) -> _Holder | _Refused | _Due:
        """The user, if it may go on: one function asks for every grant, and old answers wear out."""
        family, told = redemption.family, redemption.told
        standing = check_standing(connection, family.organization_id, family.subject_id, self.clock)
        if standing.subject is None or not standing.may_continue:
            return _Refused(f"the user is {standing.problem}")
        if not redemption.client.asks(standing.subject.store):
            return _Refused(f"the client does not ask {standing.subject.store} any more")
        now, began_at = redemption.now, family.password_checked_at
        if standing.has_ended(began_at):
            return _Refused("the user has ended it, or has another password")
        if standing.needs_a_password(now, began_at):
            return _Refused("the password was checked too long ago")
        if told is None and standing.is_due:
            return _Due(standing.subject, standing.confirmed_at)
        if told is not None and told.ends:
            revoke_family(connection, family.organization_id, family.id, now)
            return _Refused(f"the user is {told}")
        if standing.is_worn_out(now, began_at, self.settings.reauthenticate_after):
            return _Refused("the user's store has said nothing for too long")
        groups = family.groups if standing.groups is None else standing.groups
        return _Holder(standing.subject, standing.own_name, groups)
