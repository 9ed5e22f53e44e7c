"""Every operation of the internal REST APIs with what it takes, read from the routes themselves."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import FastAPI
from starlette.routing import Match

from ostiary.app.settings import Settings
from ostiary.app.wiring import build_app, framework_of
from ostiary.permissions import ORGANIZATION_PREFIX, AccessSettings, GuardedRoute

_BELOW = re.compile(r"/t/[^/]+(/.*)")


class Operation(NamedTuple):
    """What answers a call: the path as a template, and the route."""

    path: str
    route: GuardedRoute


def operations(access: AccessSettings | None = None) -> list[GuardedRoute]:
    """The routes as `access` tightens them, by path and method; no server needs to run.

    Raises:
        InvalidSettings: an override names no operation.
    """
    found = [route for route in _framework(access).routes if isinstance(route, GuardedRoute)]
    return sorted(found, key=lambda route: (route.path, sorted(route.methods or ())))


def openapi(access: AccessSettings | None = None) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the REST APIs as `access` tightens them; no server needs to run.

    Raises:
        InvalidSettings: an override names no operation.
    """
    return _framework(access).openapi()


def operation_for(routes: Iterable[GuardedRoute], method: str, path: str) -> Operation | None:
    """The operation that answers this method and path, as the server would choose it."""
    return next((found for found in _at(routes, path) if method.upper() in (found.route.methods or ())), None)


def methods_at(routes: Iterable[GuardedRoute], path: str) -> list[str]:
    """Which methods there are at a path."""
    return sorted({method for found in _at(routes, path) for method in found.route.methods or ()})


def _framework(access: AccessSettings | None) -> FastAPI:
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(data_dir=Path(directory), access=access or AccessSettings())
        return framework_of(build_app(settings))


def _at(routes: Iterable[GuardedRoute], path: str) -> Iterator[Operation]:
    below = _BELOW.match(path)
    for route in routes:
        if _matches(route, path):
            yield Operation(route.path, route)
        elif below and route.per_organization and _matches(route, below[1]):
            yield Operation(ORGANIZATION_PREFIX + route.path, route)


def _matches(route: GuardedRoute, path: str) -> bool:
    scope = {"type": "http", "method": "GET", "path": path, "root_path": ""}
    return route.matches(scope)[0] is not Match.NONE
