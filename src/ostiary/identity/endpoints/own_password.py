"""The internal REST API of one's own password: /api/users/v1/me/change-password, as WSO2 has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Body
from pydantic import BaseModel, ConfigDict, SecretStr
from starlette.requests import Request

from ostiary.foundation.answers import NoContent
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem
from ostiary.identity.authentication import Authentication
from ostiary.identity.endpoints.problems import problems
from ostiary.identity.errors import InvalidUser, LoginRefused, LoginUnavailable
from ostiary.identity.own_password import change_own_password
from ostiary.permissions import LOGGED_IN, GuardedRouter, organization, principal


class PasswordChangeBody(BaseModel):
    """The old password, and the new one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    currentPassword: SecretStr
    newPassword: SecretStr


def router(database: Database, authentication: Authentication, clock: Clock) -> GuardedRouter:
    """For users of PRIMARY; others are told where their password is."""
    guarded = GuardedRouter("/api/users/v1/me", tags=["Own password (WSO2)"])

    @guarded.post("/change-password", access=LOGGED_IN, refuses=(409,))
    async def change(request: Request, body: Annotated[PasswordChangeBody, Body()]) -> NoContent:
        """Set a new password. Every token and session of before ends, this call's too."""
        here, subject_id = organization(request), principal(request).subject_id or ""
        current, new = body.currentPassword, body.newPassword
        with problems(), _numbered(request):
            await change_own_password(database, authentication, here, subject_id, current, new, clock)
        return NoContent()

    return guarded


@contextmanager
def _numbered(request: Request) -> Iterator[None]:
    """Turn what WSO2 has a number for, and what a login may refuse, into its answer."""
    try:
        yield
    except InvalidUser as invalid:
        text = f"newPassword: {invalid.expected}"
        raise Problem(400, "PWD-10003", "Password policy violation", text) from invalid
    except LoginRefused as refused:
        request.state.refused_login = refused
        text = "currentPassword: the one you have now; after several wrong ones you have to wait"
        raise Problem(400, "PWD-10001", "Invalid current password", text) from refused
    except LoginUnavailable as error:
        wait = {"Retry-After": str(max(1, round(error.retry_after.total_seconds())))}
        raise Problem(503, "503", "Service Unavailable", str(error), wait) from error
