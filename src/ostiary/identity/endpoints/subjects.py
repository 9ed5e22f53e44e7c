"""What is held about a person, of whatever store: /api/identity/v1/subjects."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query
from fastapi.encoders import jsonable_encoder
from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import NoContent, Shown
from ostiary.foundation.database import Database
from ostiary.foundation.people import Holding
from ostiary.foundation.secrets import SecretBox
from ostiary.identity.endpoints.problems import problems
from ostiary.identity.erasing import erase, find_person, held_about
from ostiary.identity.errors import UnknownUser
from ostiary.identity.powers import check_power_over
from ostiary.identity.repository.subjects import id_of_name
from ostiary.permissions import GuardedRouter, needs, organization, principal

_PERMISSION = "/permission/admin/manage/identity/identitymgt"
_VIEW = needs(f"{_PERMISSION}/view", "internal_identity_mgt_view")
_DELETE = needs(f"{_PERMISSION}/delete", "internal_identity_mgt_delete")
_Name = Annotated[str, Query(min_length=1, max_length=400, pattern=r"^[^\x00]*$")]


class SubjectDocument(TypedDict):
    """The `sub` of a person."""

    subject: str


def router(database: Database, box: SecretBox, holdings: Sequence[Holding]) -> GuardedRouter:
    """Find a person, hand out what is held, erase it."""
    guarded = GuardedRouter("/api/identity/v1/subjects", tags=["Subjects"])

    @guarded.get("", access=_VIEW, refuses=(404,))
    async def find(request: Request, name: _Name) -> SubjectDocument:
        """The subject that was last seen as `name`, written `[STORE/]name` in its canonical form."""
        here = organization(request).id
        found = await database.read(lambda connection: id_of_name(connection, here, name))
        with problems():
            if found is None:
                raise UnknownUser(name)
        return {"subject": found}

    @guarded.get("/{subject_id}", access=_VIEW)
    async def export(request: Request, subject_id: str) -> Shown[dict[str, Any]]:
        """Everything that is held about a person, without secrets."""
        here = organization(request)

        def unit(connection: Connection) -> dict[str, Any]:
            return held_about(connection, box, holdings, find_person(connection, here, subject_id))

        with problems():
            return Shown(jsonable_encoder(await database.read(unit)))

    @guarded.delete("/{subject_id}", access=_DELETE)
    async def forget(request: Request, subject_id: str) -> NoContent:
        """Erase a person: tokens end within a second, and the audit log keeps nothing that is theirs."""
        here, caller = organization(request), principal(request)

        def unit(connection: Connection) -> None:
            check_power_over(connection, caller, here.id, subject_id)
            erase(connection, box, holdings, find_person(connection, here, subject_id))

        with problems():
            await database.write(unit)
        await database.settle()
        return NoContent()

    return guarded
