"""The internal REST API of API versions: /api/apim/v1/apis."""

from typing import Annotated, Literal, NotRequired, cast

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StrictBool, StrictInt
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.apim.backends import Backend, ClientCertificate
from ostiary.apim.endpoints.access import API as MAY
from ostiary.apim.endpoints.limits import LimitDocument, SharedLimit, present_limit, read_limit
from ostiary.apim.endpoints.paging import Limit, Offset, Page, page
from ostiary.apim.endpoints.problems import problems
from ostiary.apim.exposure import CORS, USUAL_CORS, AuthType, CredentialKind
from ostiary.apim.lifecycle import LifecycleState
from ostiary.apim.model import API, MAX_RESOURCES, Resource
from ostiary.apim.publishing import APISpec, change_api, change_state, create_api, delete_api, get_api
from ostiary.apim.repository import list_apis
from ostiary.apim.superseding import Superseded, Superseding, check_superseding, publish
from ostiary.foundation.answers import Created, NoContent
from ostiary.foundation.database import Database
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.foundation.secrets import SecretBox
from ostiary.permissions import GuardedRouter, organization


class ResourceBody(BaseModel):
    """One method and path template."""

    model_config = ConfigDict(extra="forbid")

    method: str
    path: str
    scopes: list[str] = Field(default_factory=list, max_length=50)
    limit: SharedLimit = None
    auth: AuthType = AuthType.ANY

    def resource(self) -> Resource:
        """As the use cases take it."""
        limit = read_limit(self.limit)
        return Resource(self.method, self.path, tuple(self.scopes), limit=limit, auth=self.auth)


class CORSBody(BaseModel):
    """What browsers are told about calls from other origins."""

    model_config = ConfigDict(extra="forbid")

    enabled: StrictBool = USUAL_CORS.enabled
    origins: list[str] = Field(default_factory=lambda: list(USUAL_CORS.origins), max_length=100)
    methods: list[str] = Field(default_factory=lambda: list(USUAL_CORS.methods), max_length=100)
    headers: list[str] = Field(default_factory=lambda: list(USUAL_CORS.headers), max_length=100)
    credentials: StrictBool = USUAL_CORS.credentials

    def rules(self) -> CORS:
        """As the use cases take it."""
        origins, methods, headers = tuple(self.origins), tuple(self.methods), tuple(self.headers)
        return CORS(self.enabled, origins, methods, headers, self.credentials)


class AssertionBody(BaseModel):
    """What the backend JWT says besides: claims of the user who calls."""

    model_config = ConfigDict(extra="forbid")

    claims: list[str] = Field(default_factory=list, max_length=100)


class UnchangedBody(BaseModel):
    """Stands for a secret that stays."""

    model_config = ConfigDict(extra="forbid")

    unchanged: Literal[True]


class ClientCertificateBody(BaseModel):
    """What the gateway proves itself with; the key is never shown and stays when none is given."""

    model_config = ConfigDict(extra="forbid")

    certificate: Annotated[str, Field(max_length=100_000)]
    key: Annotated[SecretStr, Field(max_length=100_000)] | UnchangedBody | None = None


class BackendBody(BaseModel):
    """Addresses by key type, and how they are called."""

    model_config = ConfigDict(extra="forbid")

    production: list[str] = []
    sandbox: list[str] = []
    timeout_ms: StrictInt | None = None
    connect_timeout_ms: StrictInt | None = None
    health_check: str | None = None
    server_name: str | None = None
    ca: Annotated[str, Field(max_length=300_000)] | None = None
    client_certificate: ClientCertificateBody | None = None
    breaker_failures: StrictInt | None = None
    breaker_pause_seconds: StrictInt | None = None

    def backend(self) -> Backend:
        """As the use cases take it."""
        said, certificate = self.model_dump(exclude={"client_certificate"}), None
        if self.client_certificate is not None:
            key = self.client_certificate.key
            given = key if isinstance(key, SecretStr) else None
            certificate = ClientCertificate(self.client_certificate.certificate, given)
        production, sandbox = tuple(said.pop("production")), tuple(said.pop("sandbox"))
        return Backend(production, sandbox, **said, client_certificate=certificate)


class APIBody(BaseModel):
    """An API version as its publisher describes it."""

    model_config = ConfigDict(extra="forbid")

    name: str
    context: str
    version: str
    backend: BackendBody = BackendBody()
    plans: list[str] = Field(default_factory=list, max_length=100)
    resources: list[ResourceBody] = Field(default_factory=list, max_length=MAX_RESOURCES)
    limit: SharedLimit = None
    security: list[CredentialKind] = [CredentialKind.OAUTH2]
    cors: CORSBody = CORSBody()
    default_version: StrictBool = False
    assertion: AssertionBody = AssertionBody()

    def spec(self) -> APISpec:
        """As the use cases take it."""
        return APISpec(
            name=self.name,
            context=self.context,
            version=self.version,
            backend=self.backend.backend(),
            plans=tuple(self.plans),
            resources=tuple(resource.resource() for resource in self.resources),
            limit=read_limit(self.limit),
            security=tuple(self.security),
            cors=self.cors.rules(),
            default_version=self.default_version,
            assertion_claims=tuple(self.assertion.claims),
        )


class StateBody(BaseModel):
    """The state an API version is to have, and what publishing it does to older versions."""

    model_config = ConfigDict(extra="forbid")

    state: LifecycleState
    deprecate_older: StrictBool = False
    require_resubscription: StrictBool = True

    def superseding(self) -> Superseding:
        """As the use case takes it."""
        return Superseding(self.deprecate_older, self.require_resubscription)


class ResourceDocument(TypedDict):
    """One method and path template."""

    method: str
    path: str
    scopes: list[str]
    limit: LimitDocument | None
    auth: AuthType


class KeyStaysDocument(TypedDict):
    """Stands for a key that is set; sent back, it is left as it is."""

    unchanged: Literal[True]


class ClientCertificateDocument(TypedDict):
    """What the gateway proves itself with, without its key."""

    certificate: str
    key: KeyStaysDocument


class BackendDocument(TypedDict):
    """Addresses by key type, and what is said of how they are called."""

    production: list[str]
    sandbox: list[str]
    timeout_ms: NotRequired[int]
    connect_timeout_ms: NotRequired[int]
    health_check: NotRequired[str]
    server_name: NotRequired[str]
    ca: NotRequired[str]
    client_certificate: NotRequired[ClientCertificateDocument]
    breaker_failures: NotRequired[int]
    breaker_pause_seconds: NotRequired[int]


class AssertionDocument(TypedDict):
    """What the backend JWT says besides."""

    claims: list[str]


class APIDocument(TypedDict):
    """An API version; `superseded` is said by the answer that publishes it."""

    id: str
    name: str
    context: str
    version: str
    state: LifecycleState
    backend: BackendDocument
    plans: list[str]
    resources: list[ResourceDocument]
    limit: LimitDocument | None
    security: list[CredentialKind]
    cors: CORS
    default_version: bool
    assertion: AssertionDocument
    superseded: NotRequired[Superseded]


def router(database: Database, box: SecretBox, policy: OutboundPolicy) -> GuardedRouter:
    """List, read, create, change, move through the life cycle and delete API versions."""
    guarded = GuardedRouter("/api/apim/v1/apis", tags=["APIs"])
    _reading(guarded, database)
    _writing(guarded, database, box, policy)
    return guarded


def _reading(guarded: GuardedRouter, database: Database) -> None:
    @guarded.get("", access=MAY["view"])
    async def list_all(request: Request, limit: Limit = 100, offset: Offset = 0) -> Page[APIDocument]:
        """The organization's API versions, by name and version."""
        here = organization(request).id
        return page(await database.read(lambda c: list_apis(c, here)), limit, offset, present)

    @guarded.get("/{api_id}", access=MAY["view"])
    async def read_one(request: Request, api_id: str) -> APIDocument:
        """One API version."""
        here = organization(request).id
        with problems():
            return present(await database.read(lambda c: get_api(c, here, api_id)))


def _writing(guarded: GuardedRouter, database: Database, box: SecretBox, policy: OutboundPolicy) -> None:
    @guarded.post("", access=MAY["create"], refuses=(409,))
    async def create(request: Request, body: Annotated[APIBody, Body()]) -> Created[APIDocument]:
        """Add an API version; it is CREATED and not callable until it is published."""
        here = organization(request).id
        with problems():
            api = await database.write(lambda c: create_api(c, here, body.spec(), policy, box))
        return Created(present(api), {"Location": f"{request.url.path}/{api.id}"})

    @guarded.put("/{api_id}", access=MAY["update"], refuses=(409,))
    async def replace(request: Request, api_id: str, body: Annotated[APIBody, Body()]) -> APIDocument:
        """Make an API version what the body says; its name, version and state stay."""
        here = organization(request).id
        with problems():
            spec = body.spec()
            return present(await database.write(lambda c: change_api(c, here, api_id, spec, policy, box)))

    @guarded.put("/{api_id}/state", access=MAY["publish"], refuses=(409,))
    async def move(request: Request, api_id: str, body: Annotated[StateBody, Body()]) -> APIDocument:
        """Take one step of the life cycle; publishing may supersede the older versions of the same name."""
        here, how = organization(request).id, body.superseding()
        with problems():
            check_superseding(how, body.state)
            if how == Superseding():
                return present(await database.write(lambda c: change_state(c, here, api_id, body.state)))
            api, done = await database.write(lambda c: publish(c, here, api_id, how))
            return {**present(api), "superseded": done}

    @guarded.delete("/{api_id}", access=MAY["delete"], refuses=(409,))
    async def delete(request: Request, api_id: str) -> NoContent:
        """Remove an API version nobody is subscribed to."""
        here = organization(request).id
        with problems():
            await database.write(lambda c: delete_api(c, here, api_id))
        return NoContent()


def present(api: API) -> APIDocument:
    """An API version as JSON."""
    return {
        "id": api.id,
        "name": api.name,
        "context": api.context,
        "version": api.version,
        "state": api.state,
        "backend": _present_backend(api.backend),
        "plans": list(api.plans),
        "resources": [_resource(resource) for resource in api.resources],
        "limit": present_limit(api.limit),
        "security": list(api.security),
        "cors": api.cors,
        "default_version": api.default_version,
        "assertion": {"claims": list(api.assertion_claims)},
    }


def _resource(resource: Resource) -> ResourceDocument:
    return {
        "method": resource.method,
        "path": resource.path,
        "scopes": list(resource.scopes),
        "limit": present_limit(resource.limit),
        "auth": resource.auth,
    }


def _present_backend(backend: Backend) -> BackendDocument:
    """What is said and nothing else; a key only as one that stays."""
    addresses = {"production": list(backend.production), "sandbox": list(backend.sandbox)}
    shown = cast(BackendDocument, addresses | backend.options)
    if backend.client_certificate is not None:
        certificate = backend.client_certificate.certificate
        shown["client_certificate"] = {"certificate": certificate, "key": {"unchanged": True}}
    return shown
