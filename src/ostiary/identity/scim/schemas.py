"""What SCIM clients see: the schemas of users, groups and roles, and what the service can do (RFC 7643).

Groups and roles are two views of the same roles (ADR 0018). A user's name and a role's name never
change, because files, scopes and other people's lists say them.
"""

from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, ValidationInfo, model_validator
from scim2_models import (
    URN,
    Address,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    Context,
    ETag,
    Filter,
    GroupMembership,
    Im,
    Mutability,
    Name,
    Patch,
    PhoneNumber,
    Photo,
    Reference,
    Required,
    Resource,
    ResourceType,
    Returned,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)

from ostiary.permissions import NODES

LARGEST_PAGE: Final = 200
MOST_OPERATIONS: Final = 100
"""Of one bulk request."""
LARGEST_BULK: Final = 1024 * 1024
"""Bytes of the body of a bulk request."""


class Email(ComplexAttribute):
    """An address as its owner's mail system takes it: one of a `.local` domain is one too."""

    value: str | None = None
    display: str | None = None
    type: str | None = Field(None, examples=["work", "home", "other"])
    primary: bool | None = None


class User(Resource[Any]):
    """RFC 7643 §4.1, without what would look like authority here: `roles` and `entitlements`."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Uniqueness.server, Required.true, Mutability.immutable] = None
    name: Name | None = None
    Name: ClassVar[type[ComplexAttribute]] = Name
    display_name: str | None = None
    nick_name: str | None = None
    profile_url: Annotated[str | None, CaseExact.true] = None  # a claim, which need not be a URL
    title: str | None = None
    user_type: str | None = None
    preferred_language: str | None = None
    locale: str | None = None
    timezone: str | None = None
    active: Annotated[bool | None, Required.true] = None
    password: Annotated[str | None, Mutability.write_only, Returned.never, CaseExact.true] = Field(
        None, repr=False
    )
    emails: list[Email] | None = None
    Emails: ClassVar[type[ComplexAttribute]] = Email
    phone_numbers: list[PhoneNumber] | None = None
    PhoneNumbers: ClassVar[type[ComplexAttribute]] = PhoneNumber
    ims: list[Im] | None = None
    Ims: ClassVar[type[ComplexAttribute]] = Im
    photos: list[Photo] | None = None
    Photos: ClassVar[type[ComplexAttribute]] = Photo
    addresses: list[Address] | None = None
    Addresses: ClassVar[type[ComplexAttribute]] = Address
    groups: Annotated[list[GroupMembership] | None, Mutability.read_only] = None
    Groups: ClassVar[type[ComplexAttribute]] = GroupMembership

    @model_validator(mode="before")
    @classmethod
    def _new_users_are_active(cls, data: Any, info: ValidationInfo) -> Any:
        """Whoever makes a user need not say so; whoever replaces one says it: nobody is let in unsaid."""
        is_new = (info.context or {}).get("scim") is Context.RESOURCE_CREATION_REQUEST
        if not is_new or not isinstance(data, dict) or "active" in {str(name).casefold() for name in data}:
            return data
        return {**data, "active": True}


class RoleMember(ComplexAttribute):
    """A user whom a role lists; `value` is its `sub`."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    ref: Annotated[Reference["User"] | None, Mutability.immutable] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])
    display: Annotated[str | None, Mutability.read_only, Returned.request] = None


class Group(Resource[Any]):
    """RFC 7643 §4.2: a role, and the users it lists."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[
        str | None, Required.true, Uniqueness.server, CaseExact.true, Mutability.immutable
    ] = None
    members: list[RoleMember] | None = None
    Members: ClassVar[type[ComplexAttribute]] = RoleMember


class Role(Resource[Any]):
    """A role with its permissions, as WSO2 Identity Server shows one."""

    __schema__ = URN("urn:ietf:params:scim:schemas:extension:2.0:Role")

    display_name: Annotated[
        str | None, Required.true, Uniqueness.server, CaseExact.true, Mutability.immutable
    ] = None
    permissions: Annotated[list[str] | None, CaseExact.true] = Field(None, examples=sorted(NODES))
    users: list[RoleMember] | None = None
    Users: ClassVar[type[ComplexAttribute]] = RoleMember


CONFIG: Final = ServiceProviderConfig(
    patch=Patch(supported=True),
    bulk=Bulk(supported=True, max_operations=MOST_OPERATIONS, max_payload_size=LARGEST_BULK),
    filter=Filter(supported=True, max_results=LARGEST_PAGE),
    change_password=ChangePassword(supported=True),
    sort=Sort(supported=True),
    etag=ETag(supported=True),
    authentication_schemes=[
        AuthenticationScheme(
            type=AuthenticationScheme.Type.oauthbearertoken,
            name="OAuth bearer token",
            description="An access token with internal scopes, in the header (RFC 6750 §2.1)",
            primary=True,
        )
    ],
)

PROVIDER: Final = ScimProvider(
    models=[User, Group, Role],
    resource_types=[
        ResourceType.from_resource(User),
        ResourceType.from_resource(Group),
        ResourceType.from_resource(Role),
    ],
    config=CONFIG,
    policy=ScimPolicy(
        unknown=ScimPolicy.Unknown.ignore,
        remove_value_as_filter=ScimPolicy.RemoveValue.apply,
        unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
    ),
)
"""Tolerant where Microsoft Entra and Okta are not strict: a schema that is not served is left out."""
