"""Routes that declare their access (ADR 0007): none exists without it, and the guard asks each."""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from inspect import signature
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from ostiary.foundation.answers import Answer, answering, answers_of
from ostiary.foundation.web import StrictRequest
from ostiary.permissions.access import Access, Audience
from ostiary.permissions.guard import Guard
from ostiary.permissions.settings import AccessOverride

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
PlainEndpoint = Callable[[Request], Awaitable[Response]]
ORGANIZATION_PREFIX = "/t/{organization}"
_TIGHTENED = (Audience.PERMITTED, Audience.USER)
_PARAMETER = re.compile(r"\{(\w+)")
_OF_THE_INSTALLATION = {"url": "/"}
SERVERS: list[dict[str, Any]] = [
    _OF_THE_INSTALLATION,
    {"url": ORGANIZATION_PREFIX, "variables": {"organization": {"default": "default"}}},
]
"""Where the paths of the OpenAPI document begin (OpenAPI §4.8.5); what is not of an organization says so."""


@dataclass(frozen=True, slots=True)
class PlainRoute:
    """A route whose endpoint reads its request itself; see `PlainRoutes`."""

    path: str
    methods: frozenset[str]
    access: Access
    endpoint: PlainEndpoint

    def keys(self, prefix: str) -> list[tuple[str, str]]:
        """What it is found by: method and path without `prefix`."""
        return [(method, self.path.removeprefix(prefix)) for method in self.methods]


class GuardedRoute(APIRoute):
    """A route that asks the guard before anything of the request's body is read.

    `per_organization`: it is served under `/t/{organization}` too. `answers`: what it says when all is well.
    `refuses`: statuses of refusals besides those that follow from what it takes.
    """

    access: Access
    per_organization: bool
    answers: tuple[Answer, ...]
    refuses: frozenset[int]

    def get_route_handler(self) -> Callable[[Request], Any]:
        handler = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            guard: Guard = request.app.state.guard
            await guard.admit(request, self.access)
            answer: Response = await handler(StrictRequest(request.scope, request.receive))
            return answer

        return guarded


class GuardedRouter:
    """Collects routes; each must declare its `access`.

    With `per_organization` every route is served twice: as given (the default organization) and
    under `/t/{organization}`.
    """

    def __init__(
        self, prefix: str = "", *, tags: list[str | Enum] | None = None, per_organization: bool = True
    ) -> None:
        self.router = APIRouter(tags=tags)
        self.plain: list[PlainRoute] = []
        self._prefix, self._per_organization = prefix, per_organization

    def add_plain(
        self, path: str, endpoint: PlainEndpoint, *, methods: list[str], access: Access, **options: Any
    ) -> None:
        """Register a route that is called often: `PlainRoutes` answers it without the framework.

        Raises:
            ValueError: it takes a permission, which an operator may tighten at the framework's route alone.
        """
        if access.audience in _TIGHTENED:
            raise ValueError(f"{path}: a route that takes a permission or a user cannot be plain")
        self.add(path, endpoint, methods=methods, access=access, **options)
        for above in ("", ORGANIZATION_PREFIX) if self._per_organization else ("",):
            self.plain.append(PlainRoute(above + self._prefix + path, frozenset(methods), access, endpoint))

    def add(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: list[str],
        access: Access,
        refuses: Collection[int] = (),
        answers: Sequence[Answer] = (),
        **options: Any,
    ) -> None:
        """Register one route; `options` are FastAPI's.

        `answers`: what it says when all is well, where its endpoint's annotation does not say it.
        """
        declared = {
            "access": access,
            "per_organization": self._per_organization,
            "answers": tuple(answers) or answers_of(endpoint),
            "refuses": frozenset(refuses),
        }
        self.router.add_api_route(
            self._prefix + path,
            answering(endpoint),
            methods=methods,
            route_class_override=type("DeclaredRoute", (GuardedRoute,), declared),
            response_model=None,
            openapi_extra={
                **_security(access),
                **_unread_parameters(self._prefix + path, endpoint),
                **({} if self._per_organization else {"servers": [_OF_THE_INSTALLATION]}),
                **options.get("openapi_extra", {}),
            },
            **{name: value for name, value in options.items() if name != "openapi_extra"},
        )

    def access_of(self, method: str, path: str) -> Access:
        """What an operation takes now, for whoever carries out several in one request."""
        wanted = self._prefix + path
        return next(
            route.access
            for route in self.router.routes
            if isinstance(route, GuardedRoute) and route.path == wanted and method in (route.methods or ())
        )

    def tighten(self, override: AccessOverride) -> bool:
        """Let one operation take more than it declares; False where it is none of these."""
        method, _, path = override.operation.partition(" ")
        found = [
            route
            for route in self.router.routes
            if isinstance(route, GuardedRoute)
            and route.path == path
            and method in (route.methods or ())
            and route.access.audience in _TIGHTENED
        ]
        for route in found:
            route.access = route.access.tightened(override.permissions, override.scopes)
            route.openapi_extra = {**(route.openapi_extra or {}), **_security(route.access)}
        return bool(found)

    def route(
        self, path: str, *, methods: list[str], access: Access, **options: Any
    ) -> Callable[[Endpoint], Endpoint]:
        """Register the decorated endpoint."""

        def register(endpoint: Endpoint) -> Endpoint:
            self.add(path, endpoint, methods=methods, access=access, **options)
            return endpoint

        return register

    def get(self, path: str, *, access: Access, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register the decorated endpoint for GET."""
        return self.route(path, methods=["GET"], access=access, **options)

    def post(self, path: str, *, access: Access, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register the decorated endpoint for POST."""
        return self.route(path, methods=["POST"], access=access, **options)

    def put(self, path: str, *, access: Access, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register the decorated endpoint for PUT."""
        return self.route(path, methods=["PUT"], access=access, **options)

    def patch(self, path: str, *, access: Access, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register the decorated endpoint for PATCH."""
        return self.route(path, methods=["PATCH"], access=access, **options)

    def delete(self, path: str, *, access: Access, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register the decorated endpoint for DELETE."""
        return self.route(path, methods=["DELETE"], access=access, **options)


def serve(app: FastAPI, routers: Iterable[GuardedRouter]) -> None:
    """Let an app answer what was collected, and under `/t/{organization}` what every organization has.

    Each route is made once, and is in both places: including a router would make it again for either.
    """
    routes = [route for router in routers for route in router.router.routes]
    below = [route for route in routes if getattr(route, "per_organization", False)]
    app.router.routes.extend(routes)
    app.mount(ORGANIZATION_PREFIX, APIRouter(routes=below, redirect_slashes=False))


def _security(access: Access) -> dict[str, Any]:
    """The OpenAPI `security` and the readable requirement of a route (OpenAPI §4.8.30)."""
    schemes: dict[Audience, list[dict[str, list[str]]]] = {
        Audience.ANYBODY: [],
        Audience.GATEWAY_NODE: [{"node": []}],
        Audience.NEW_GATEWAY_NODE: [],
    }
    with_token = [{"oauth2": sorted(access.scopes)}, {"basic": []}]
    return {"security": schemes.get(access.audience, with_token), "x-ostiary-access": str(access)}


def _unread_parameters(path: str, endpoint: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of a path that its endpoint does not take as arguments: OpenAPI wants each described."""
    taken = signature(endpoint).parameters
    unread = [name for name in _PARAMETER.findall(path) if name not in taken]
    if not unread:
        return {}
    described = {"in": "path", "required": True, "schema": {"type": "string"}}
    return {"parameters": [{"name": name, **described} for name in unread]}
