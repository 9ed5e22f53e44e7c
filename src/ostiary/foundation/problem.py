"""What internal REST APIs answer when they refuse: `{"code","message","description","traceId"}`."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse


class Problem(Exception):
    """A refusal a client may read. `description` names the field and what was expected.

    `code` is the name of an error, or the status where there is no other; the guard's are numbers.
    `more`: members of the body besides.
    """

    def __init__(
        self,
        status: int,
        code: str | int,
        message: str,
        description: str,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {description}")
        self.status = status
        self.code = code
        self.message = message
        self.description = description
        self.headers = dict(headers or {})
        self.more = dict(more or {})


def render(problem: Problem, trace_id: str) -> JSONResponse:
    """The body every internal REST API uses for a refusal."""
    body = {
        "code": problem.code,
        "message": problem.message,
        "description": problem.description,
        "traceId": trace_id,
        **problem.more,
    }
    return JSONResponse(body, status_code=problem.status, headers=problem.headers)
