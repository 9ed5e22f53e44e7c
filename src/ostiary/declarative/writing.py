"""Carrying out a plan: each kind's change becomes calls of the slice that owns it, in one transaction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from pydantic import SecretStr
from sqlalchemy import Connection

from ostiary import apim, identity, oauth, organizations, permissions
from ostiary.declarative.complaints import Complaint, Path, steps_of
from ostiary.declarative.consistency import keys_of, resources_of
from ostiary.declarative.current import application_named, find_deny_policy, subscribed_api
from ostiary.declarative.desired import backend_of
from ostiary.declarative.names import Names
from ostiary.declarative.plan import Action, Change, Kind, Wish, Wishes
from ostiary.declarative.references import Secret
from ostiary.declarative.removing import REMOVERS
from ostiary.declarative.schema import (
    APIPart,
    ApplicationPart,
    BurstPart,
    LimitPart,
    OrganizationFile,
)
from ostiary.foundation.clock import Clock
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.secrets import SecretBox

REFUSALS = (
    apim.Invalid,
    apim.NotFound,
    apim.Conflict,
    identity.InvalidUser,
    identity.InvalidUserStore,
    identity.UserStoreInUse,
    oauth.BadField,
)
"""What a slice may say to a change that its schema could not know."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the slices need besides a connection."""

    box: SecretBox
    policy: OutboundPolicy
    clock: Clock


@dataclass(frozen=True, slots=True)
class Work:
    """One organization's changes in one transaction. `hashes`: password hashes by PRIMARY user name."""

    connection: Connection
    organization_id: str
    file: OrganizationFile
    names: Names
    wishes: Wishes
    hashes: Mapping[str, str]
    tools: Tools
    found: dict[tuple[Kind, str], str] = field(default_factory=dict)
    """Identifiers by name, so that a thing many others name is looked for once."""

    def application_id(self, name: str) -> str | None:
        """The application of that name; none goes while a file is applied."""
        if (Kind.APPLICATION, name) not in self.found:
            application = application_named(self.connection, self.organization_id, name)
            if application is None:
                return None
            self.found[Kind.APPLICATION, name] = application.id
        return self.found[Kind.APPLICATION, name]

    def api_id(self, name: str, version: str) -> str | None:
        """The API version of that name; none goes while a file is applied."""
        key = (Kind.API, f"{name} {version}")
        if key not in self.found:
            api = apim.find_api_named(self.connection, self.organization_id, name, version)
            if api is None:
                return None
            self.found[key] = api.id
        return self.found[key]

    def wish(self, change: Change) -> Wish:
        """What the file wants of a thing, and where it says so."""
        return self.wishes[change.kind][change.name]

    def application(self, change: Change) -> ApplicationPart:
        """The application of the file that a client or subscription is part of."""
        _, index, *_ = self.wish(change).path
        return self.file.applications[int(index)]


def carry_out(work: Work, changes: tuple[Change, ...]) -> list[Complaint]:
    """Make every change; returns what the slices refuse, and then nothing must be committed."""
    complaints: list[Complaint] = []
    for change in changes:
        try:
            with work.connection.begin_nested():
                if change.action is Action.REMOVE:
                    REMOVERS[change.kind](work.connection, work.organization_id, change.name)
                else:
                    WRITERS[change.kind](work, change)
        except REFUSALS as error:
            complaints.append(complaint_of(work, change, error))
        except _Follows:
            continue
    return complaints


class _Follows(Exception):
    """What this change builds on was refused already, and complained about."""


def complaint_of(work: Work, change: Change, error: Exception) -> Complaint:
    """What a slice said against a change, at the place of the file that asks for it."""
    path: Path = work.wish(change).path
    field = getattr(error, "field", "")
    where = (*path, *steps_of(field))
    expected = getattr(error, "expected", "")
    if isinstance(error, identity.InvalidUserStore) and error.field == "url":
        return Complaint(where, expected, "")  # the outbound policy says what is wrong, in a sentence
    return Complaint(where, getattr(error, "found", "" if expected else str(error)), expected)


def _organization(work: Work, change: Change) -> None:
    part = work.file.organization
    organization = organizations.Organization(
        id=work.organization_id,
        name=part.name,
        display_name=part.display_name or part.name,
        features=frozenset(part.features),
        chain=organizations.ChainPolicy(part.chain),
    )
    identity.put_organization(work.connection, organization)


def user_store_spec(work: Work, change: Change) -> identity.UserStoreSpec:
    """The user store as the identity slice is told of it: with the secrets that are set, the others stay."""
    store = next(s for s in work.file.user_stores if s.name == change.name)
    secrets = {key: _secret(store.secrets[key]) for key in change.sets}
    return identity.UserStoreSpec(
        organization_id=work.organization_id,
        name=store.name,
        type=store.type,
        settings=store.settings.with_secrets({key: value for key, value in secrets.items() if value}),
        options=store.options,
        position=work.wish(change).picture["position"],
    )


def _user_store(work: Work, change: Change) -> None:
    identity.put_user_store(work.connection, user_store_spec(work, change), work.tools.box, work.tools.policy)


def _plan(work: Work, change: Change) -> None:
    _, index = work.wish(change).path
    part = work.file.plans[int(index)]
    bandwidth = None if part.bandwidth is None else apim.parse_bandwidth(part.bandwidth)
    limits = part.requests, apim.Period(part.per), _limit(part.burst), bandwidth
    apim.put_plan(work.connection, work.organization_id, change.name, *limits)


def _limit(part: BurstPart | LimitPart | None) -> apim.Limit | None:
    return None if part is None else apim.Limit(part.requests, apim.Period(part.per))


def _role(work: Work, change: Change) -> None:
    picture = work.wish(change).picture
    known = permissions.find_role(work.connection, work.organization_id, change.name)
    members = {
        *(permissions.a_user(user) for user in picture["users"]),
        *(permissions.a_group(group) for group in picture["groups"]),
        *(permissions.a_client(client) for client in picture["clients"]),
    }
    role = permissions.Role(
        id=known.id if known else new_id(),
        organization_id=work.organization_id,
        name=change.name,
        permissions=tuple(picture["permissions"]),
        members=frozenset(members),
    )
    permissions.put_role(work.connection, role)


def _user(work: Work, change: Change) -> None:
    claims = work.wish(change).picture["claims"]
    password_hash = work.hashes.get(change.name) if "password" in change.sets else None
    spec = identity.UserSpec(work.organization_id, change.name, password_hash, claims)
    identity.put_user(work.connection, spec, work.tools.clock)


def scope_spec(work: Work, change: Change) -> oauth.ScopeSpec:
    """The scope as the authorization server is told of it."""
    picture = work.wish(change).picture
    roles = frozenset(picture["roles"])
    return oauth.ScopeSpec(
        change.name, picture["description"], roles, picture["everyone"], picture["display_name"]
    )


def _scope(work: Work, change: Change) -> None:
    oauth.put_scope(work.connection, work.organization_id, scope_spec(work, change))


def api_spec(work: Work, change: Change) -> apim.APISpec:
    """The API version as its publisher would say it."""
    _, index = work.wish(change).path
    part = work.file.apis[int(index)]
    return apim.APISpec(
        name=part.name,
        context=part.context,
        version=part.version,
        backend=_backend(part, change),
        plans=tuple(part.plans),
        resources=tuple(
            apim.Resource(
                one.method,
                one.path,
                tuple(one.scopes),
                limit=_limit(one.limit),
                auth=apim.AuthType(one.auth),
            )
            for one in resources_of(part)
        ),
        state=apim.LifecycleState(part.state),
        limit=_limit(part.limit),
        security=tuple(map(apim.CredentialKind, part.security)),
        cors=apim.CORS(
            enabled=part.cors.enabled,
            origins=tuple(part.cors.origins),
            methods=tuple(part.cors.methods),
            headers=tuple(part.cors.headers),
            credentials=part.cors.credentials,
        ),
        default_version=part.default_version,
        assertion_claims=tuple(part.assertion.claims),
    )


def _backend(part: APIPart, change: Change) -> apim.Backend:
    """Without its key in the change, a client certificate keeps the one there is."""
    backend = backend_of(part)
    mine = backend.client_certificate
    if mine is None or "backend.client_certificate.key" in change.sets:
        return backend
    return replace(backend, client_certificate=replace(mine, key=None))


def _api(work: Work, change: Change) -> None:
    here, policy, spec = work.organization_id, work.tools.policy, api_spec(work, change)
    box = work.tools.box
    known = apim.find_api_named(work.connection, here, spec.name, spec.version)
    if known is None:
        apim.create_api(work.connection, here, spec, policy, box)
    else:
        apim.change_api(work.connection, here, known.id, spec, policy, box)


def _application(work: Work, change: Change) -> None:
    picture = work.wish(change).picture
    spec = apim.ApplicationSpec(change.name, picture["owner"], tier=picture["tier"])
    known = application_named(work.connection, work.organization_id, change.name)
    if known is None:
        apim.create_application(work.connection, work.organization_id, spec)
    else:
        apim.change_application(work.connection, work.organization_id, known.id, spec)


def _client(work: Work, change: Change) -> None:
    here = work.organization_id
    application_id = work.application_id(work.application(change).name)
    if application_id is None:
        raise _Follows
    spec = client_spec(work, change)
    oauth.put_client(
        work.connection,
        work.tools.box,
        here,
        spec,
        work.tools.clock(),
        set_secret="client_secret" in change.sets,
    )
    key_type = apim.KeyType(work.wish(change).picture["key_type"])
    apim.add_keys(work.connection, here, application_id, key_type, change.name)


def client_spec(work: Work, change: Change) -> oauth.ClientSpec:
    """The client as the authorization server is told of it."""
    application, picture = work.application(change), work.wish(change).picture
    part = next(keys for _, keys in keys_of(application) if keys.client_id == change.name)
    return oauth.ClientSpec(
        client_id=part.client_id,
        name=application.name,
        secret=_secret(part.client_secret),
        grant_types=frozenset(picture["grant_types"]),
        token_format=oauth.TokenFormat(part.token_format),
        scopes=None if picture["scopes"] is None else frozenset(picture["scopes"]),
        default_scope=frozenset(picture["default_scope"]),
        strict_scopes=part.strict_scopes,
        internal_scopes=part.internal_scopes,
        access_token_lifetime=_seconds(part.access_token_lifetime_seconds),
        refresh_token_lifetime=_seconds(part.refresh_token_lifetime_seconds),
        validity=oauth.Validity(part.validity_period),
        user_stores=None if part.user_stores is None else tuple(part.user_stores),
    )


def _subscription(work: Work, change: Change) -> None:
    here, part = work.organization_id, work.application(change)
    application_id = work.application_id(part.name)
    api_id = work.api_id(*subscribed_api(part.name, change.name))
    if application_id is None or api_id is None:
        raise _Follows
    known = apim.find_subscription_to(work.connection, here, application_id, api_id)
    plan = work.wish(change).picture["plan"]
    if known is None:
        apim.subscribe(work.connection, here, application_id, api_id, plan)
    else:
        apim.change_subscription(work.connection, here, known.id, plan=plan)


def _deny_policy(work: Work, change: Change) -> None:
    here = work.organization_id
    known = find_deny_policy(work.connection, here, change.name)
    spec = deny_spec(work, change)
    if known is None:
        apim.create_deny_policy(work.connection, here, spec)
    else:
        apim.switch_deny_policy(work.connection, here, known.id, enabled=spec.enabled)


def deny_spec(work: Work, change: Change) -> apim.DenySpec:
    """The deny policy as an administrator would say it."""
    _, index = work.wish(change).path
    part = (work.file.deny or [])[int(index)]
    return apim.DenySpec(apim.DenyCondition(part.condition), part.value, part.invert, part.enabled)


def _secret(secret: Secret | None) -> SecretStr | None:
    return secret.value if secret else None


def _seconds(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


WRITERS: dict[Kind, Callable[[Work, Change], None]] = {
    Kind.ORGANIZATION: _organization,
    Kind.USER_STORE: _user_store,
    Kind.PLAN: _plan,
    Kind.ROLE: _role,
    Kind.USER: _user,
    Kind.SCOPE: _scope,
    Kind.API: _api,
    Kind.APPLICATION: _application,
    Kind.CLIENT: _client,
    Kind.SUBSCRIPTION: _subscription,
    Kind.DENY_POLICY: _deny_policy,
}
