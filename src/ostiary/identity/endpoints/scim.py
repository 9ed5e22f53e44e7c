"""SCIM 2.0 (RFC 7644 §3): users, groups, roles, oneself, bulk and discovery, at /scim2.

Every operation is a row of `ROUTES`: what it takes is declared there and nowhere else.
"""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from scim2_models import Error, InvalidSyntaxException, NotFoundException, PayloadTooLargeException
from scim2_server.requests import ScimRequest
from scim2_server.responses import SCIM_MEDIA_TYPE, ScimResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem
from ostiary.foundation.web import BodyTooLong, bounded_body, strict_json
from ostiary.identity.authentication import Authentication
from ostiary.identity.endpoints import scim_documents as documents
from ostiary.identity.scim import LARGEST_BULK, Caller, Handler, Service, Storage
from ostiary.organizations import DEFAULT_ORGANIZATION, Organization, recall
from ostiary.permissions import (
    LOGGED_IN,
    OPEN,
    Access,
    Audience,
    GuardedRouter,
    Principal,
    PrincipalKind,
    check_again,
    needs,
    organization,
    principal,
)

PREFIX: Final = "/scim2"
LARGEST_BODY: Final = 256 * 1024
"""Bytes of the body of any request but a bulk one."""
PLACE: Final = re.compile(rf"(/t/[^/]+)?{PREFIX}(/|\Z)")
_IDENTITY: Final = "/permission/admin/manage/identity"


def _user(verb: str) -> Access:
    return needs(f"{_IDENTITY}/usermgt/{verb}", f"internal_user_mgt_{verb}")


def _role(verb: str) -> Access:
    return needs(f"{_IDENTITY}/rolemgt/{verb}", f"internal_role_mgt_{verb}")


@dataclass(frozen=True, slots=True)
class Row:
    """An operation: where it is, what it takes, and what the protocol calls it."""

    method: str
    path: str
    access: Access
    operation: str
    does: str

    @property
    def key(self) -> tuple[str, str]:
        """The endpoint and operation that a bulk request means by it."""
        return self.path.split("/")[1], self.operation


_EVERY_OTHER: Final = ("view", "list", "delete")
BULK: Final = _user("create").tightened(
    (f"{_IDENTITY}/usermgt/{verb}" for verb in _EVERY_OTHER),
    (f"internal_user_mgt_{verb}" for verb in _EVERY_OTHER),
)
"""To enter; each operation takes what it takes alone, besides."""
OF_ALL_TYPES: Final = _user("list").tightened((f"{_IDENTITY}/rolemgt/view",), ("internal_role_mgt_view",))
"""A search at the root is one of every type (RFC 7644 §3.4.3)."""

ROUTES: Final = (
    Row("GET", "/Users", _user("list"), "search", "Users of PRIMARY, or of the store `domain`, by page."),
    Row("POST", "/Users/.search", _user("list"), "search_with_body", "The same, asked for in a body."),
    Row("POST", "/Users", _user("create"), "create", "Create a user of PRIMARY."),
    Row("GET", "/Users/{resource_id}", _user("view"), "query", "One user, of any store."),
    Row("PUT", "/Users/{resource_id}", _user("update"), "replace", "Replace a user."),
    Row("PATCH", "/Users/{resource_id}", _user("update"), "patch", "Change a user."),
    Row("DELETE", "/Users/{resource_id}", _user("delete"), "delete", "Delete a user of PRIMARY."),
    *(
        row
        for path in ("/Groups", "/Roles")
        for row in (
            Row("GET", path, _role("view"), "search", "Roles by page."),
            Row(
                "POST", f"{path}/.search", _role("view"), "search_with_body", "The same, asked for in a body."
            ),
            Row("POST", path, _role("create"), "create", "Create a role."),
            Row("GET", f"{path}/{{resource_id}}", _role("view"), "query", "One role."),
            Row("PUT", f"{path}/{{resource_id}}", _role("update"), "replace", "Replace a role."),
            Row("PATCH", f"{path}/{{resource_id}}", _role("update"), "patch", "Change a role."),
            Row("DELETE", f"{path}/{{resource_id}}", _role("delete"), "delete", "Delete a role."),
        )
    ),
    Row("GET", "/Me", LOGGED_IN, "query", "The caller's own user."),
    Row("PUT", "/Me", LOGGED_IN, "replace", "Replace what people may change of themselves."),
    Row("PATCH", "/Me", LOGGED_IN, "patch", "Change what people may change of themselves."),
    Row("POST", "/.search", OF_ALL_TYPES, "search_with_body", "Not served: several types at once."),
    Row("POST", "/Bulk", BULK, "bulk", "Several operations; each takes what it takes alone."),
    Row("GET", "/ServiceProviderConfig", OPEN, "service_provider_config", "What is served of SCIM."),
    Row("GET", "/ResourceTypes", OPEN, "resource_types", "The types of resources."),
    Row("GET", "/ResourceTypes/{resource_id}", OPEN, "resource_type", "One type of resources."),
    Row("GET", "/Schemas", OPEN, "schemas", "The schemas of resources."),
    Row("GET", "/Schemas/{resource_id}", OPEN, "schema", "One schema."),
)


def refusal(problem: Problem) -> Response:
    """How a refusal looks that comes before the protocol, such as the guard's (RFC 7644 §3.12)."""
    error = Error(status=problem.status, detail=problem.description)
    headers = {**problem.headers, "Content-Type": SCIM_MEDIA_TYPE}
    return Response(json.dumps(error.model_dump()), problem.status, headers)


def router(
    database: Database, authentication: Authentication, public_url: str, clock: Clock
) -> GuardedRouter:
    """Every operation in the URL's organization."""
    guarded = GuardedRouter(PREFIX, tags=["SCIM 2.0"])
    answers = _Answers(database, authentication, public_url, clock, guarded)
    for row in ROUTES:
        guarded.add(
            row.path,
            answers.endpoint(row),
            methods=[row.method],
            access=row.access,
            answers=documents.ANSWERS[row.operation],
            refuses=documents.REFUSALS.get(row.operation, ()),
            openapi_extra=documents.read_here(row.operation),
        )
    return guarded


_NOBODY: Final = Principal(PrincipalKind.USER, "anybody")


class _Answers:
    """Answers requests of every row."""

    def __init__(
        self,
        database: Database,
        authentication: Authentication,
        public_url: str,
        clock: Clock,
        guarded: GuardedRouter,
    ) -> None:
        self._database = database
        self._authentication = authentication
        self._public_url = public_url
        self._clock = clock
        self._guarded = guarded
        self._service = Service()
        self._rows = {row.key: row for row in ROUTES}

    def endpoint(self, row: Row) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint of one operation."""

        async def answer(request: Request) -> Response:
            scim = ScimRequest(
                method=row.method,
                base_url=self._base_url(request),
                path=row.path.replace("{resource_id}", request.path_params.get("resource_id", "")),
                query=dict(request.query_params),
                headers=request.headers.items(),
            )
            try:
                scim.body = await _body(request, row)
                scim.subject = await self._caller(request, row)
                return _rendered(await getattr(self._handler(scim.subject), row.operation)(scim))
            except Exception as error:
                return _rendered(self._service.error_response(error))

        answer.__doc__ = row.does
        return answer

    def _handler(self, caller: Caller) -> Handler:
        return Handler(self._service, Storage(self._database, self._authentication, self._clock, caller))

    async def _caller(self, request: Request, row: Row) -> Caller:
        if row.access.audience is Audience.ANYBODY:
            name = request.path_params.get("organization", DEFAULT_ORGANIZATION)
            if await recall(self._database, name) is None:
                raise NotFoundException(detail="there is no such organization")
            return Caller(Organization("", "", ""), _NOBODY, lambda endpoint, operation: None)

        def authorize(endpoint: str, operation: str) -> None:
            meant = self._rows[endpoint, operation]
            check_again(request, self._guarded.access_of(meant.method, meant.path))

        return Caller(
            organization(request),
            principal(request),
            authorize,
            is_own=row.path == "/Me",
            domain=request.query_params.get("domain"),
        )

    def _base_url(self, request: Request) -> str:
        """The address of SCIM in the URL's organization, from the settings and never from a header."""
        name = request.path_params.get("organization", DEFAULT_ORGANIZATION)
        prefix = "" if name == DEFAULT_ORGANIZATION else f"/t/{name}"
        return f"{self._public_url}{prefix}{PREFIX}"


async def _body(request: Request, row: Row) -> bytes:
    longest = LARGEST_BULK if row.operation == "bulk" else LARGEST_BODY
    try:
        body = await bounded_body(request, longest)
    except BodyTooLong as error:
        raise PayloadTooLargeException(detail=str(error)) from error
    try:
        strict_json(body)
    except HTTPException as error:
        raise InvalidSyntaxException(detail=error.detail) from error
    except ValueError:
        pass  # no JSON, or none is needed: the protocol says so better
    return body


def _rendered(answer: ScimResponse) -> Response:
    body = b"" if answer.body is None else json.dumps(answer.body).encode()
    headers = {"Cache-Control": "private, no-cache", **answer.headers}
    if answer.body is None:
        del headers["Content-Type"]
    return Response(body, int(answer.status), headers)
