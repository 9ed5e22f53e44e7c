"""Routes whose endpoints read their requests themselves, with no framework between.

They are declared, guarded and documented like every other route, and reachable through the framework too;
what comes to one of them by its exact method and path is answered here. Everything else goes on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ostiary.foundation.problem import Problem, render
from ostiary.foundation.web import request_id
from ostiary.permissions.guard import Guard
from ostiary.permissions.router import ORGANIZATION_PREFIX, GuardedRouter, PlainRoute

_Found = tuple[PlainRoute, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Routes:
    """Plain routes by method and path: as given, and as they are below an organization."""

    here: Mapping[tuple[str, str], PlainRoute]
    below: Mapping[tuple[str, str], PlainRoute]

    def find(self, method: str, path: str) -> _Found | None:
        """The route of exactly this path, with its parameters."""
        route = self.here.get((method, path))
        if route is not None:
            return route, {}
        if not path.startswith("/t/"):
            return None
        organization, slash, rest = path[3:].partition("/")
        route = self.below.get((method, slash + rest)) if organization else None
        return None if route is None else (route, {"organization": organization})


class PlainRoutes:
    """Answers what is for a plain route, and passes every other request on."""

    def __init__(self, app: ASGIApp, guard: Guard, routers: Iterable[GuardedRouter]) -> None:
        self._app = app
        self._guard = guard
        routes = [route for router in routers for route in router.plain]
        self._routes = _Routes(
            {key: r for r in routes if not r.path.startswith(ORGANIZATION_PREFIX) for key in r.keys("")},
            {
                key: r
                for r in routes
                if r.path.startswith(ORGANIZATION_PREFIX)
                for key in r.keys(ORGANIZATION_PREFIX)
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._routes.find(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"], scope["path_params"] = found
        response = await self._answer(found[0], Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, route: PlainRoute, request: Request) -> Response:
        try:
            await self._guard.admit(request, route.access)
            return await route.endpoint(request)
        except Problem as problem:
            return render(problem, request_id(request))
        except ClientDisconnect:  # nobody is there to read it
            return render(Problem(400, "400", "Bad Request", "the body is incomplete"), request_id(request))
