"""Every operation of the internal REST APIs with what it takes, read from the routes themselves."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.routing import Match

from ostiary.app.document import guarded_routes
from ostiary.app.settings import Settings
from ostiary.app.wiring import build_app, framework_of
from ostiary.permissions import AccessSettings, GuardedRoute


def operations(access: AccessSettings | None = None) -> list[GuardedRoute]:
    """The routes as `access` tightens them, by path and method; no server needs to run.

    Raises:
        InvalidSettings: an override names no operation.
    """
    routes = guarded_routes(_framework(access).routes)
    return sorted(routes, key=lambda route: (route.path, sorted(route.methods or ())))


def openapi(access: AccessSettings | None = None) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the REST APIs as `access` tightens them; no server needs to run.

    Raises:
        InvalidSettings: an override names no operation.
    """
    return _framework(access).openapi()


def operation_for(routes: Iterable[GuardedRoute], method: str, path: str) -> GuardedRoute | None:
    """The route that answers this method and path, as the server would choose it."""
    scope = {"type": "http", "method": method.upper(), "path": path, "root_path": ""}
    return next((route for route in routes if route.matches(dict(scope))[0] is Match.FULL), None)


def methods_at(routes: Iterable[GuardedRoute], path: str) -> list[str]:
    """Which methods there are at a path."""
    found = (r.methods or set() for r in routes if operation_for([r], next(iter(r.methods or {""})), path))
    return sorted({method for methods in found for method in methods})


def _framework(access: AccessSettings | None) -> FastAPI:
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(data_dir=Path(directory), access=access or AccessSettings())
        return framework_of(build_app(settings))
