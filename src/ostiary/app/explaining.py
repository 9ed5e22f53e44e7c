"""Why a worker refused a token request, kept for administrators under the request's identifier.

The client is told as little as ever; what is kept is the refusal's `detail`, which names the store or the
reason. Bounded: beyond a number a second nothing is kept. Nothing waits for it.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.web import client_address, request_id
from ostiary.gateway import note_explanations
from ostiary.oauth import OAuthError
from ostiary.organizations import DEFAULT_ORGANIZATION

AT_ONCE: Final = 100
"""What is kept of one second."""
_ADVICE: Final = {
    "invalid_client": "compare client id and secret; under /t/ORGANIZATION only its own clients pass",
    "invalid_grant": "the reason names who refused: the user, the user store, the lock-out, the token",
    "unauthorized_client": "add the grant type to the client's registration",
    "invalid_scope": "ask for scopes the user or client is entitled to, or mark the client as not strict",
    "temporarily_unavailable": "see whether the user stores answer: `ostiary doctor`",
}


class ToldRefusals:
    """Refused token requests on their way to the table."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting: deque[dict[str, Any]] = deque()

    def note(self, request: Request, error: OAuthError) -> None:
        """Remember one, while there is room."""
        if len(self._waiting) < AT_ONCE:
            self._waiting.append(self._document(request, error))

    async def tell(self) -> None:
        """Write what waits, in one transaction."""
        if self._waiting:
            told = list(self._waiting)
            self._waiting.clear()
            await self._database.write(lambda connection: note_explanations(connection, told, self._clock()))

    def _document(self, request: Request, error: OAuthError) -> dict[str, Any]:
        by = getattr(request.state, "client", None)
        named = request.path_params.get("organization", DEFAULT_ORGANIZATION)
        steps = [] if by is None else [_passed(by.client.client_id)]
        check = "the client is known and its secret is right" if by is None else "the request can be granted"
        failed = {"check": check, "compared": "", "outcome": "failed", "reason": str(error)[:300]}
        return {
            "request_id": request_id(request),
            "organization": named if by is None else by.organization.name,
            "at": self._clock().timestamp(),
            "method": request.method,
            "path": request.url.path,
            "status": error.status,
            "refusal": error.error,
            "client": client_address(request),
            "steps": [*steps, failed],
            "advice": _ADVICE.get(error.error, error.description),
        }


def _passed(client_id: str) -> dict[str, str]:
    check = "the client is known and its secret is right"
    return {"check": check, "compared": f"client {client_id}", "outcome": "passed"}


class Explained:
    """Passes requests on and notes what protocol endpoints refused."""

    def __init__(self, app: ASGIApp, told: ToldRefusals) -> None:
        self._app = app
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
        error = scope.get("state", {}).get("refused")
        if isinstance(error, OAuthError):
            self._told.note(Request(scope), error)
