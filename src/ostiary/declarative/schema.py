"""The organization file: every key there is, with what it may hold.

Keys whose issue is still to come are checked like all others; `notices.py` says which of them take
no effect yet. What a value must be is the slices' to say: their parsers are called here.
"""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
)

from ostiary import apim
from ostiary.declarative.complaints import Unacceptable
from ostiary.declarative.references import SecretValue, TextValue, resolver_of
from ostiary.declarative.store_parts import PART, UserStorePart
from ostiary.organizations import Feature, InvalidOrganizationName, parse_name


class Part(BaseModel):
    """A mapping of the file: unknown keys are mistakes and nothing is converted."""

    model_config = PART


def _organization_name(text: str) -> str:
    try:
        return parse_name(text)
    except InvalidOrganizationName:
        raise Unacceptable(repr(text), "2 to 63 of a-z, 0-9, '_' and '-', a letter or digit first") from None


def _day(value: Any) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise Unacceptable(repr(value), "a day such as 2027-06-30") from None


def _openapi(value: Any, info: ValidationInfo) -> Any:
    """A path where files are read; on the server the resources that were read from it."""
    resolver = resolver_of(info)
    if resolver is None or not isinstance(value, str):
        return value
    resources = apim.read_resources(resolver.document(value).data)
    return [
        {"method": r.method, "path": r.path, "scopes": list(r.scopes), "auth": str(r.auth)} for r in resources
    ]


OneLine = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f/]+$")]
ScopeName = Annotated[str, AfterValidator(apim.parse_scope)]
ClaimName = Annotated[str, AfterValidator(apim.parse_claim)]
Permission = Annotated[str, Field(max_length=255, pattern=r"^/permission(/[A-Za-z0-9_.-]+)+$")]
Day = Annotated[date, BeforeValidator(_day), PlainSerializer(date.isoformat)]
Per = Literal["second", "minute", "hour", "day", "month"]
Requests = Annotated[int, Field(ge=1, le=1_000_000_000)]
URL = Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"^[a-z][a-z0-9+.-]*://?[^\s]+$")]


class OrganizationPart(Part):
    """Who the tenant is, and how its user stores are asked."""

    name: Annotated[str, AfterValidator(_organization_name)]
    display_name: OneLine | None = None
    features: list[Feature] = []
    chain: Literal["first_known", "any"] = "first_known"


class UserPart(Part):
    """A user of PRIMARY. Without `roles` those stay that others say; `[]` is none."""

    username: OneLine
    password: SecretValue | None = None
    roles: list[Name] | None = None
    claims: dict[OneLine, Annotated[str, Field(max_length=1_000)]] = {}


class RolePart(Part):
    """A role. Permissions and members that are not said stay; `[]` is none."""

    name: Name
    permissions: list[Permission] | None = None
    users: list[OneLine] | None = None
    groups: list[OneLine] | None = None
    clients: list[OneLine] | None = None


class ScopePart(Part):
    """An API scope. `roles` (possibly none, then it is nobody's) or `everyone: true` must be said."""

    name: ScopeName
    display_name: Annotated[str, Field(max_length=255)] = ""
    description: Annotated[str, Field(max_length=1_000)] = ""
    roles: list[Name] | None = None
    everyone: bool = False


class BurstPart(Part):
    """How many requests may come at once."""

    requests: Requests
    per: Literal["second", "minute"] = "second"


class LimitPart(Part):
    """How many requests of all callers in each window; some have a name, such as 10KPerMin."""

    requests: Requests
    per: Per


def _limit(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in apim.NAMED:
        raise Unacceptable(repr(value), f"{{requests: N, per: minute}} or one of {', '.join(apim.NAMED)}")
    named = apim.NAMED[value]
    return None if named is None else {"requests": named.requests, "per": str(named.per)}


SharedLimit = Annotated[LimitPart | None, BeforeValidator(_limit)]


class PlanPart(Part):
    """A rate limit of the organization's own."""

    name: Annotated[str, AfterValidator(apim.parse_plan_name)]
    requests: Requests | None = None
    per: Per = "minute"
    burst: BurstPart | None = None
    bandwidth: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}(KB|MB|GB)$")] | None = None


class ClientCertificatePart(Part):
    """What the gateway proves itself with to a backend."""

    certificate: TextValue
    key: SecretValue


class BackendPart(Part):
    """Where calls go, by the type of the caller's keys, and how."""

    production: list[Annotated[str, AfterValidator(apim.parse_backend_url)]] = []
    sandbox: list[Annotated[str, AfterValidator(apim.parse_backend_url)]] = []
    timeout_ms: int | None = None
    connect_timeout_ms: int | None = None
    health_check: OneLine | None = None
    server_name: OneLine | None = None
    ca: TextValue | None = None
    client_certificate: ClientCertificatePart | None = None
    breaker_failures: int | None = None
    breaker_pause_seconds: int | None = None


class ResourcePart(Part):
    """One method and path template."""

    method: Annotated[str, AfterValidator(apim.parse_method)]
    path: Annotated[str, AfterValidator(apim.parse_path)]
    scopes: list[ScopeName] = []
    limit: SharedLimit = None
    auth: Literal["any", "application", "user", "none"] = "any"


class CORSPart(Part):
    """What browsers are told about calls from other origins."""

    enabled: bool = apim.USUAL_CORS.enabled
    origins: list[Annotated[str, AfterValidator(apim.parse_origin)]] = list(apim.USUAL_CORS.origins)
    methods: list[Annotated[str, AfterValidator(apim.parse_method)]] = list(apim.USUAL_CORS.methods)
    headers: list[OneLine] = list(apim.USUAL_CORS.headers)
    credentials: bool = apim.USUAL_CORS.credentials


class AssertionPart(Part):
    """What the backend JWT says besides: claims of the user who calls."""

    claims: Annotated[list[ClaimName], Field(max_length=apim.MOST_CLAIMS)] = []


class APIPart(Part):
    """One version of an API. `openapi` names a file to read the resources from."""

    name: Annotated[str, AfterValidator(apim.parse_name)]
    context: Annotated[str, AfterValidator(apim.parse_context)]
    version: Annotated[str, AfterValidator(apim.parse_version)]
    state: Literal["CREATED", "PROTOTYPED", "PUBLISHED", "BLOCKED", "DEPRECATED", "RETIRED"] = "CREATED"
    backend: BackendPart = BackendPart()
    plans: list[str] = []
    resources: list[ResourcePart] | None = None
    openapi: Annotated[list[ResourcePart], BeforeValidator(_openapi)] | None = None
    limit: SharedLimit = None
    security: list[Literal["oauth2", "api_key"]] = ["oauth2"]
    cors: CORSPart = CORSPart()
    default_version: bool = False
    assertion: AssertionPart = AssertionPart()


GrantType = Literal[
    "password",
    "client_credentials",
    "refresh_token",
    "authorization_code",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:token-exchange",
]
Lifetime = Annotated[int, Field(ge=1, le=3_153_600_000)]


class KeysPart(Part):
    """A client of an application."""

    client_id: Annotated[str, Field(min_length=1, max_length=128)]
    client_secret: SecretValue | None = None
    grant_types: list[GrantType] = []
    token_format: Literal["jwt", "opaque"] = "jwt"  # noqa: S105
    scopes: list[ScopeName] | None = None
    default_scope: list[ScopeName] = []
    strict_scopes: bool = False
    internal_scopes: bool = False
    validity_period: Literal["fixed", "bounded", "unlimited"] = "fixed"
    access_token_lifetime_seconds: Lifetime | None = None
    refresh_token_lifetime_seconds: Lifetime | None = None
    user_stores: list[OneLine] | None = None


class BothKeysPart(Part):
    """An application's clients by the backend they call; what is not said stays."""

    production: KeysPart | None = None
    sandbox: KeysPart | None = None


class SubscriptionPart(Part):
    """A subscription of the application."""

    api: Annotated[str, AfterValidator(apim.parse_name)]
    version: Annotated[str, AfterValidator(apim.parse_version)]
    plan: str


class ApplicationPart(Part):
    """An application. Without `subscriptions` those there are stay; `[]` is none."""

    name: Annotated[str, AfterValidator(apim.parse_name)]
    owner: OneLine
    tier: Annotated[str, AfterValidator(apim.parse_tier)] = apim.UNLIMITED
    keys: BothKeysPart = BothKeysPart()
    subscriptions: list[SubscriptionPart] | None = None


class DenyPart(Part):
    """Calls that are refused whatever else holds."""

    condition: Literal["IP", "IPRANGE", "USER", "APPLICATION", "API"]
    value: OneLine
    invert: bool = False
    enabled: bool = True


class OrganizationFile(Part):
    """The whole file."""

    apiVersion: Literal["ostiary/v1"]
    organization: OrganizationPart
    user_stores: list[UserStorePart] = []
    users: list[UserPart] = []
    roles: list[RolePart] = []
    scopes: list[ScopePart] = []
    plans: list[PlanPart] = []
    apis: list[APIPart] = []
    applications: list[ApplicationPart] = []
    deny: list[DenyPart] | None = None
    """Without it the deny policies there are stay; `[]` is none."""
