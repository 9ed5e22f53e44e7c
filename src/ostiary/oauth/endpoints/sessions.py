"""The internal REST API of a person's sessions: /api/users/v1/{user-id}/sessions and …/me/sessions.

In the form of WSO2 Identity Server, with scope and end of each besides. No token, nor a hash of one, is ever
shown. `me` is a segment of its own, registered first; an identifier that begins with it is an identifier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Query
from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import NoContent
from ostiary.foundation.problem import Problem
from ostiary.identity import UnknownUser, check_power_over, sign_out
from ostiary.oauth.authorization_server import AuthorizationServer
from ostiary.oauth.endpoints.problems import problems
from ostiary.oauth.errors import UnknownSession
from ostiary.oauth.model import scope_text
from ostiary.oauth.repository.sessions import Asked, Session
from ostiary.oauth.sessions import end_session, list_sessions, sessions_of
from ostiary.permissions import LOGGED_IN, Access, GuardedRouter, needs, organization, principal

PREFIX = "/api/users/v1"
_PERMISSION = "/permission/admin/manage/identity/authentication/session"
_Limit = Annotated[int, Query(ge=1, le=1_000)]
_Offset = Annotated[int, Query(ge=0, le=1_000_000)]


class SessionClientDocument(TypedDict):
    """The client somebody logged in to."""

    id: str
    appId: str
    appName: str
    subject: str


class SessionDocument(TypedDict):
    """A login; times are milliseconds since 1970."""

    id: str
    userId: str
    applications: list[SessionClientDocument]
    scope: str
    loginTime: str
    lastAccessTime: str
    expiryTime: str


class SessionsDocument(TypedDict):
    """What somebody is logged in to, the newest first."""

    userId: str
    sessions: list[SessionDocument]


@dataclass(frozen=True, slots=True)
class _Side:
    """One way to say whose sessions are meant."""

    path: str
    view: Access
    delete: Access
    subject: Callable[[Request], str]
    is_own: bool


_SIDES = (
    _Side("/me", LOGGED_IN, LOGGED_IN, lambda request: principal(request).subject_id or "", is_own=True),
    _Side(
        "/{user_id}",
        needs(f"{_PERMISSION}/view", "internal_session_view"),
        needs(f"{_PERMISSION}/delete", "internal_session_delete"),
        lambda request: str(request.path_params["user_id"]),
        is_own=False,
    ),
)


def router(server: AuthorizationServer) -> GuardedRouter:
    """What people of the URL's organization are logged in to."""
    guarded = GuardedRouter(PREFIX, tags=["Sessions (WSO2)"])
    for side in _SIDES:
        _reading(guarded, side, server)
        _ending(guarded, side, server)
    return guarded


def _reading(guarded: GuardedRouter, side: _Side, server: AuthorizationServer) -> None:
    @guarded.get(f"{side.path}/sessions", access=side.view)
    async def list_all(request: Request, limit: _Limit = 100, offset: _Offset = 0) -> SessionsDocument:
        """What the user is logged in to, the newest first. Times are milliseconds since 1970."""
        here, subject_id = organization(request).id, side.subject(request)

        def unit(connection: Connection) -> list[Session]:
            asked = sessions_of(connection, here, subject_id, server.clock)
            return list_sessions(connection, asked, offset, limit)

        with _refusals():
            found = await server.database.read(unit)
        return {"userId": subject_id, "sessions": [_present(one, subject_id) for one in found]}


def _ending(guarded: GuardedRouter, side: _Side, server: AuthorizationServer) -> None:
    async def end(request: Request, work: Callable[[Connection, Asked], None]) -> NoContent:
        here, subject_id, caller = organization(request).id, side.subject(request), principal(request)

        def unit(connection: Connection) -> None:
            asked = sessions_of(connection, here, subject_id, server.clock)
            if not side.is_own:
                check_power_over(connection, caller, here, subject_id)
            work(connection, asked)

        with _refusals():
            await server.database.write(unit)
        return NoContent()

    @guarded.delete(f"{side.path}/sessions", access=side.delete)
    async def end_all(request: Request) -> NoContent:
        """Log the user out of everything: every token that is out ends within a second."""
        return await end(
            request, lambda c, asked: sign_out(c, asked.organization_id, asked.subject_id, server.clock)
        )

    @guarded.delete(f"{side.path}/sessions/{{session_id}}", access=side.delete)
    async def end_one(request: Request, session_id: str) -> NoContent:
        """Log the user out of one client: the tokens of that login end within a second."""
        return await end(request, lambda c, asked: end_session(c, asked, session_id))


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn a refusal of a use case into its answer."""
    try:
        with problems():
            yield
    except UnknownUser as error:
        raise Problem(404, "404", "Not Found", "there is no such user") from error
    except UnknownSession as error:
        raise Problem(404, "404", "Not Found", "the user has no such session") from error


def _present(session: Session, subject_id: str) -> SessionDocument:
    client: SessionClientDocument = {
        "id": session.client_id,
        "appId": session.client_id,
        "appName": session.client_name,
        "subject": session.username,
    }
    return {
        "id": session.id,
        "userId": subject_id,
        "applications": [client],
        "scope": scope_text(session.scope),
        "loginTime": _milliseconds(session.began_at),
        "lastAccessTime": _milliseconds(session.last_used_at),
        "expiryTime": _milliseconds(session.ends_at),
    }


def _milliseconds(at: datetime) -> str:
    return str(round(at.timestamp() * 1_000))
