"""What the audit log knows of a request: who, where from, what was asked; and what was refused.

Around every request: a use case that notes a change notes it as this request's, a guarded write that noted
nothing is noted all the same, in its own transaction, and refusals are counted.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostiary.app.background import Job
from ostiary.app.measuring import route_of
from ostiary.foundation.audit import (
    ANCHOR_FILE,
    EVERY,
    Actor,
    AnchorFile,
    AuditSettings,
    Head,
    Heads,
    Origin,
    Refusal,
    Refusals,
    acting,
    anchor_heads,
    chain_staged,
    drop_older,
    has_staged,
    heads_of_chains,
    note_unless_noted,
    sign_checkpoints,
)
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database, ending_writes
from ostiary.foundation.secrets import SecretBox
from ostiary.foundation.telemetry import get_logger
from ostiary.foundation.web import client_address, request_id
from ostiary.identity import LoginRefused
from ostiary.oauth import OAuthError
from ostiary.organizations import (
    DEFAULT_ORGANIZATION,
    Organization,
    OrganizationGone,
    check_is_there,
    forget_logs_of_removed,
)
from ostiary.permissions import Audience, FindOrganization, Principal, PrincipalKind

_log = get_logger(__name__)
_CHAIN_EVERY: Final = timedelta(seconds=1)
_TEND_EVERY: Final = timedelta(minutes=5)
_LONGEST_METHOD: Final = 20
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ADMINISTRATION: Final = frozenset({Audience.USER, Audience.PERMITTED})
"""Whose writes are noted whatever they do; what gateway nodes report all the time is not."""


class Audited:
    """Passes requests on, each in its own audit context."""

    def __init__(
        self, app: ASGIApp, database: Database, refusals: Refusals, find_organization: FindOrganization
    ) -> None:
        self._app = app
        self._database = database
        self._refusals = refusals
        self._find_organization = find_organization

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with acting(lambda: origin_of(scope)), ending_writes(lambda c: _end_write(c, scope)):
            await self._app(scope, receive, noting)
            if status < 400 and _is_noted_later(scope):  # it changed nothing here, and was asked for
                with suppress(OrganizationGone):
                    await self._database.write(lambda connection: None)
        if 400 <= status < 500:
            await self._note_refusal(scope, status)

    async def _note_refusal(self, scope: Scope, status: int) -> None:
        refused = _refusal(scope, status)
        if refused is None:
            return
        name = scope.get("path_params", {}).get("organization", DEFAULT_ORGANIZATION)
        organization = _clients_organization(scope) or await self._find_organization(name)
        if organization is not None:
            self._refusals.add(organization.id, refused, request_id(Request(scope)))


@dataclass(frozen=True, slots=True)
class AuditKeeping:
    """What the audit log does off the request path."""

    database: Database
    box: SecretBox
    refusals: Refusals
    data_dir: Path
    settings: AuditSettings
    clock: Clock

    def jobs(self) -> tuple[Job, ...]:
        """What a worker does now and then."""
        return (
            Job("write_refusals", EVERY, self.refusals.write),
            Job("chain_audit_log", _CHAIN_EVERY, self.chain),
            Job("tend_audit_log", _TEND_EVERY, self.tend),
        )

    async def finish(self) -> None:
        """Leave nothing behind that is not in the log, and no end of it that is not anchored."""
        try:
            await self.refusals.write()
            await self.chain()
            await self._anchor(await self.database.read(heads_of_chains))
        except Exception:  # a full disk keeps nobody from stopping; what waits is chained by the next worker
            _log.exception("audit_log_not_finished")

    async def chain(self) -> None:
        """Chain what waits, and anchor the chains that grew."""
        heads: dict[str, Head] = {}
        while await self.database.read(has_staged):
            heads |= await self.database.write(lambda connection: chain_staged(connection, self.box))
        if heads:
            await self._anchor(heads)

    async def _anchor(self, heads: Heads) -> None:
        file = AnchorFile(self.data_dir / ANCHOR_FILE)
        await anchor_heads(self.database, self.box, file, heads, self.clock)

    async def tend(self) -> None:
        """Sign the ends of chains, say so where logs are kept, and drop what is older than it is kept."""
        box, now = self.box, self.clock()
        signed = await self.database.write(
            lambda c: sign_checkpoints(c, box, now, self.settings.checkpoint_every)
        )
        for one in signed:
            _log.info(
                "audit_checkpoint",
                organization=one.organization_id,
                sequence=one.sequence,
                hash=one.hash,
                signature=one.signature,
            )
        while await self.database.write(lambda c: drop_older(c, box, now - self.settings.kept)):
            pass
        await self.database.write(forget_logs_of_removed)
        await self._anchor(await self.database.read(heads_of_chains))  # whoever chained may have been killed


def origin_of(scope: Scope) -> Origin:
    """Who makes this request, and where from."""
    request = Request(scope)
    operation = f"{scope['method'][:_LONGEST_METHOD]} {route_of(scope)}"
    return Origin(_actor(_state(scope)), request_id(request), client_address(request), operation)


def _actor(state: dict[str, Any]) -> Actor:
    principal, client = state.get("principal"), state.get("client")
    if isinstance(principal, Principal):
        if principal.kind is PrincipalKind.USER:
            return Actor("user", principal.subject_id, principal.client_id, principal.name)
        return Actor(principal.kind.value, None if principal.is_local else principal.name)
    return Actor("nobody") if client is None else Actor("client", client.client.client_id)


def _end_write(connection: Connection, scope: Scope) -> None:
    """Note the operation; nothing is written of an organization that was removed meanwhile."""
    state = _state(scope)
    admitted: Organization | None = state.get("organization")
    if (here := admitted or _clients_organization(scope)) is not None:
        check_is_there(connection, here.id)
    if admitted is not None and _is_administration(scope):
        note_unless_noted(connection, admitted.id)
        state["audited"] = True


def _clients_organization(scope: Scope) -> Organization | None:
    client = _state(scope).get("client")
    found: Organization | None = None if client is None else client.organization
    return found


def _is_noted_later(scope: Scope) -> bool:
    """Whether an operation was answered that opened no transaction which could note it."""
    return _is_administration(scope) and scope["method"] not in _READS and "audited" not in _state(scope)


def _refusal(scope: Scope, status: int) -> Refusal | None:
    """What was refused, as far as it is anybody's concern: tokens, admission, and changes."""
    state, origin = _state(scope), origin_of(scope)
    error = state.get("refused")
    if isinstance(error, OAuthError) and str(origin.operation).endswith("/token"):
        action, reason, login = "token.refused", error.error, error.__cause__
    else:
        is_change = scope["method"] not in _READS
        if not ((_is_administration(scope) and (is_change or status in (401, 403))) or _enrols(scope)):
            return None
        action, reason, login = "request.refused", str(status), state.get("refused_login")
    name = None
    if isinstance(login, LoginRefused):
        reason, name = login.code, login.username
    return Refusal(action, reason, origin.actor, origin.address, origin.operation, name)


def _is_administration(scope: Scope) -> bool:
    return _audience(scope) in _ADMINISTRATION


def _enrols(scope: Scope) -> bool:
    return _audience(scope) is Audience.NEW_GATEWAY_NODE


def _audience(scope: Scope) -> Audience | None:
    access = getattr(scope.get("route"), "access", None)
    return None if access is None else access.audience


def _state(scope: Scope) -> dict[str, Any]:
    state: dict[str, Any] = scope.get("state", {})
    return state
