"""Where a SCIM request reads and writes: the users and roles of one organization.

One method is one transaction. Passwords are hashed before it, and an outside store is asked before it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from pydantic import SecretStr
from scim2_models import (
    InvalidValueException,
    NotImplementedException,
    Resource,
    ResourceType,
    ResponseParameters,
    SearchRequest,
)
from scim2_server.storage import AsyncScimStorage, SearchPage

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.identity.authentication import Authentication
from ostiary.identity.scim import roles, users
from ostiary.identity.scim.filters import ROLE_TERMS, USER_TERMS, read_search
from ostiary.identity.scim.role_views import View
from ostiary.identity.scim.schemas import Group, Role, User
from ostiary.identity.scim.users import Domain
from ostiary.identity.user_names import PRIMARY
from ostiary.identity.user_stores.configuration import find_user_store
from ostiary.organizations import Organization
from ostiary.permissions import Principal

Page = tuple[int, Sequence[Resource[Any]]]
_VIEWS: Final[Mapping[str, View]] = MappingProxyType({"Group": Group, "Role": Role})


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom a request is answered: where, as whom, and who says whether one operation may be done."""

    organization: Organization
    principal: Principal
    authorize: Callable[[str, str], None]
    """Raises for an endpoint and an operation that the caller may not use."""
    is_own: bool = False
    """Whether the request is about the caller itself."""
    domain: str | None = None
    """The user store that is asked for."""


class Storage(AsyncScimStorage):
    """The users and roles of the caller's organization."""

    def __init__(
        self, database: Database, authentication: Authentication, clock: Clock, caller: Caller
    ) -> None:
        self._database = database
        self._authentication = authentication
        self._clock = clock
        self._caller = caller
        self._here = caller.organization.id
        self._principal = caller.principal

    async def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """Read one."""
        if resource_type.name == "User":
            return await self._database.read(lambda c: users.read_user(c, self._here, resource_id))
        view, whole = _VIEWS[str(resource_type.name)], _wants_members(response_parameters)
        return await self._database.read(
            lambda c: roles.read_role(c, view, self._here, resource_id, with_members=whole)
        )

    async def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """Read a page."""
        if len(resource_types) > 1:
            raise NotImplementedException(detail="one type of resources at a time is searched")
        name = str(resource_types[0].name)
        if name == "User":
            wanted = read_search(search_request, USER_TERMS, "userName")
            domain = await self._domain()
            page: Page = await self._database.read(
                lambda c: users.list_people(c, self._caller.organization, domain, wanted)
            )
        else:
            wanted = read_search(search_request, ROLE_TERMS, "displayName")
            view, whole = _VIEWS[name], _wants_members(search_request)
            page = await self._database.read(
                lambda c: roles.list_roles(c, view, self._here, wanted, with_members=whole)
            )
        return SearchPage(page[0], list(page[1]))

    async def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Make one."""
        if isinstance(resource, User):
            if (self._caller.domain or PRIMARY).upper() != PRIMARY:
                raise InvalidValueException(detail="domain: users are created in PRIMARY alone")
            hashed = await self._hashed(resource)
            return await self._database.write(
                lambda c: users.create_user(c, self._here, resource, hashed, self._clock, self._principal)
            )
        view = _VIEWS[str(resource_type.name)]
        return await self._database.write(
            lambda c: roles.create_role(c, view, self._here, _role(resource), self._principal)
        )

    async def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """Change one that is still of that version."""
        if not isinstance(resource, User):
            return await self._database.write(
                lambda c: roles.change_role(c, self._here, _role(resource), self._principal, expected_version)
            )
        hashed = await self._hashed(resource)
        return await self._database.write(
            lambda c: users.change_user(
                c,
                self._here,
                resource,
                hashed,
                self._clock,
                None if self._caller.is_own else self._principal,
                expected_version,
            )
        )

    async def delete(
        self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None
    ) -> None:
        """Delete one that is still of that version."""
        if resource_type.name == "User":
            await self._database.write(
                lambda c: users.remove_user(c, self._here, resource_id, self._principal, expected_version)
            )
            return
        view = _VIEWS[str(resource_type.name)]
        await self._database.write(
            lambda c: roles.remove_role(c, view, self._here, resource_id, self._principal, expected_version)
        )

    async def _domain(self) -> Domain:
        """The store whose people are asked for; one that cannot be reached is an error, not an old list.

        Raises:
            InvalidValueException: the organization has no such store.
            StoreUnavailable: whether the people seen there are still there cannot be said now.
        """
        name = (self._caller.domain or PRIMARY).upper()
        if name == PRIMARY:
            return Domain()
        found = await self._database.read(lambda c: find_user_store(c, self._here, name))
        if found is None:
            raise InvalidValueException(detail="domain: the name of a user store of the organization")
        if found.options.enabled:
            await self._authentication.reach(self._caller.organization, found)
        return Domain(found.id, found.name, found.case_sensitive)

    async def _hashed(self, user: User) -> str | None:
        if user.password is None:
            return None
        return await self._authentication.hasher.hash(SecretStr(user.password))


def _role(resource: Resource[Any]) -> Group | Role:
    assert isinstance(resource, Group | Role)  # noqa: S101 (there are no other types)
    return resource


def _wants_members(parameters: ResponseParameters[Any] | None) -> bool:
    """Whether the answer has the members of roles in it."""
    if parameters is None:
        return True
    if parameters.attributes:
        return bool(_names(parameters.attributes) & {"members", "users"})
    return not _names(parameters.excluded_attributes or ()) & {"members", "users"}


def _names(paths: Any) -> set[str]:
    return {str(path).rpartition(":")[2].partition(".")[0].casefold() for path in paths}
