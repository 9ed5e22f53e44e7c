"""The SCIM protocol as the kept library speaks it (RFC 7644), with our answers to what it asks.

Which operation a route is, and who may use it, is declared at the route; here it is asked again for each
operation of a bulk request.
"""

from dataclasses import dataclass
from typing import Any, Final

from scim2_models import (
    Error,
    NotFoundException,
    PatchOp,
    PreconditionFailedException,
    Resource,
    ResourceType,
    SCIMException,
)
from scim2_server.conditions import Conditions
from scim2_server.handler import AsyncScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Target
from scim2_server.service import ScimService

from ostiary.foundation.problem import Problem
from ostiary.foundation.telemetry import get_logger
from ostiary.identity.errors import HashingBusy, InvalidUser
from ostiary.identity.scim.schemas import PROVIDER, User
from ostiary.identity.user_stores.contract import StoreUnavailable
from ostiary.permissions import Escalation

_log = get_logger(__name__)
_ATTEMPTS: Final = 4
"""How often a change that named no version is tried when somebody else is quicker."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    scim_type: str | None = None
    detail: str = ""


_ANSWERS: Final[tuple[tuple[type[Exception], _Answer], ...]] = (
    (InvalidUser, _Answer(400, "invalidValue")),
    (Escalation, _Answer(403)),
    (RecursionError, _Answer(400, "invalidSyntax", "nested too deeply")),
    (HashingBusy, _Answer(503, detail="too many passwords are being checked, try again later")),
    (StoreUnavailable, _Answer(503, detail="the user store cannot be asked at the moment, try again later")),
)
"""How our own errors look."""


class Service(ScimService):
    """The library's protocol with our callers and errors."""

    def __init__(self) -> None:
        super().__init__(PROVIDER)

    def authorize(self, request: ScimRequest, target: Target, resource_type: ResourceType) -> None:
        """Ask the declaration of the route that this operation alone would have taken."""
        if not target.me:
            request.subject.authorize(self.endpoint_of(resource_type), target.operation.value)

    def me_target(self, request: ScimRequest) -> tuple[ResourceType, str]:
        """The caller's own user (RFC 7644 §3.11)."""
        if request.subject.principal.subject_id is None:
            raise NotFoundException(detail="the caller is no user")
        return self.get_resource_type("User"), request.subject.principal.subject_id

    def apply_replacement(
        self, current: Resource[Any], replacement: Resource[Any], conditions: Conditions
    ) -> Resource[Any] | None:
        """The library's, for which a user's name in another case is another name."""
        if isinstance(current, User) and isinstance(replacement, User):
            said, kept = replacement.user_name or "", current.user_name or ""
            replacement.user_name = kept if said.casefold() == kept.casefold() else said
        return super().apply_replacement(current, replacement, conditions)

    @staticmethod
    def error_of(exception: Exception) -> Error:
        """The SCIM error of whatever was raised; what was not expected goes to the log alone."""
        if isinstance(exception, SCIMException):
            return exception.to_error()
        if isinstance(exception, Problem):
            return Error(status=exception.status, detail=exception.description)
        for kind, answer in _ANSWERS:
            if isinstance(exception, kind):
                return Error(
                    status=answer.status,
                    scim_type=answer.scim_type,
                    detail=answer.detail or str(exception),
                )
        _log.error("scim_request_failed", exc_info=exception)
        return Error(status=500, detail="something went wrong here; the log has it under the X-Request-Id")

    def error_response(self, exception: Exception) -> ScimResponse:
        """The answer to it."""
        response = super().error_response(exception)
        if isinstance(exception, Problem):
            response.headers.update(exception.headers)
        if isinstance(exception, StoreUnavailable):
            response.headers["Retry-After"] = str(max(1, round(exception.retry_after.total_seconds())))
        if isinstance(exception, HashingBusy):
            response.headers["Retry-After"] = "1"
        return response


class Handler(AsyncScimHandler):
    """The library's operations; a change that named no version is repeated when somebody else was quicker."""

    async def patch_resource(
        self, resource_type: ResourceType, resource_id: str, patch_op: "PatchOp[Any]", conditions: Conditions
    ) -> Resource[Any]:
        """See `AsyncScimHandler`."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return await super().patch_resource(resource_type, resource_id, patch_op, conditions)
            except PreconditionFailedException:
                if _names_a_version(conditions):
                    raise
        return await super().patch_resource(resource_type, resource_id, patch_op, conditions)

    async def replace_resource(
        self,
        resource_type: ResourceType,
        current: Resource[Any],
        replacement: Resource[Any],
        conditions: Conditions,
    ) -> Resource[Any]:
        """See `AsyncScimHandler`."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return await super().replace_resource(resource_type, current, replacement, conditions)
            except PreconditionFailedException:
                if _names_a_version(conditions):
                    raise
            current = await self.storage.get(resource_type, str(current.id))
        return await super().replace_resource(resource_type, current, replacement, conditions)


def _names_a_version(conditions: Conditions) -> bool:
    return conditions.if_match is not None or conditions.if_none_match is not None
