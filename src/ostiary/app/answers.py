"""What a client sees when something is wrong, whatever raised it.

A 500 carries the request's identifier and nothing else; the log has the trace.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from ostiary.app.dialects import dialect_at
from ostiary.foundation.problem import Problem
from ostiary.foundation.telemetry import get_logger
from ostiary.foundation.web import request_id
from ostiary.organizations import OrganizationGone

_log = get_logger(__name__)
_PLAIN = {"extra_forbidden": "there is no such member", "missing": "it is missing"}
_NAMES = {
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
}
_TEXTS = {404: "there is nothing at this address", 405: "this address does not take this method"}


def add_error_answers(app: FastAPI) -> None:
    """Render every exception a handler may let through."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(OrganizationGone, _removed)
    app.add_exception_handler(Exception, _unexpected)


def whatever_happens(app: ASGIApp) -> ASGIApp:
    """Render what goes wrong outside of the framework too."""
    return ServerErrorMiddleware(app, handler=_unexpected)


def refused(problem: Problem, request: Request) -> Response:
    """Show a refusal as whoever asks at this address reads it."""
    return dialect_at(request.scope["path"]).render(problem, request_id(request))


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 (registered for it)
    return refused(error, request)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (registered for it)
    return refused(Problem(400, "400", "Bad Request", describe(error.errors())), request)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for it)
    name = _NAMES.get(error.status_code, "Error")
    text = _TEXTS.get(error.status_code, str(error.detail))
    problem = Problem(error.status_code, str(error.status_code), name, text, error.headers)
    return refused(problem, request)


async def _gone(request: Request, error: Exception) -> Response:
    """Nobody is there to read it: neither a fault of ours nor worth a trace that anybody can cause."""
    return refused(Problem(400, "400", "Bad Request", "the body is incomplete"), request)


async def _removed(request: Request, error: Exception) -> Response:
    return refused(Problem(404, "404", "Not Found", "the organization was removed meanwhile"), request)


async def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("request_failed", path=request.url.path, request_id=request_id(request), exc_info=error)
    text = "something went wrong here; the log has it under the traceId"
    return refused(Problem(500, "500", "Internal Server Error", text), request)


def describe(errors: Sequence[Any]) -> str:
    """Name each wrong field and what was expected; never the value that was sent."""
    return "; ".join(_described(error) for error in errors[:10])


def _described(error: Any) -> str:
    if error["type"] == "json_invalid":
        return f"the body is not JSON: look at character {_position(error['loc'])}"
    return f"{_place(error['loc'])}: {_PLAIN.get(error['type'], error['msg'])}"


def _position(location: Sequence[int | str]) -> int:
    """Count from one, as editors do."""
    return 1 + next((part for part in location if isinstance(part, int)), 0)


def _place(location: Sequence[int | str]) -> str:
    inner = [str(part) for part in location if part not in ("body", "query", "path")]
    return ".".join(inner) or "body"
