"""What is: the part of an organization that a file speaks of, as pictures."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from ostiary import apim, identity, oauth, permissions
from ostiary.declarative.complaints import Unacceptable
from ostiary.declarative.consistency import keys_of
from ostiary.declarative.names import Names
from ostiary.declarative.plan import Actual, Kind, State
from ostiary.declarative.schema import OrganizationFile
from ostiary.organizations import Organization


def read_state(
    connection: Connection,
    organization: Organization | None,
    file: OrganizationFile,
    names: Names,
    *,
    prune: bool = False,
) -> State:
    """Read what the file speaks of; nothing where the organization is still to be made.

    With `prune`, all of a section that it says.
    """
    if organization is None:
        return {}
    here, said = organization.id, file.model_fields_set
    return {
        Kind.ORGANIZATION: {organization.name: _organization(organization)},
        Kind.USER_STORE: {
            store.name: _user_store(store) for store in identity.list_user_stores(connection, here)
        },
        Kind.PLAN: {
            plan.name: _plan(plan) for plan in apim.list_plans(connection, here) if not plan.built_in
        },
        Kind.ROLE: {role.name: role_picture(role) for role in permissions.list_roles(connection, here)},
        Kind.USER: _users(connection, here, file, names),
        Kind.SCOPE: {scope.name: _scope(scope) for scope in oauth.list_scopes(connection, here)},
        Kind.API: _apis(connection, here, file, everything=prune and "apis" in said),
        **_applications(connection, here, file, everything=prune and "applications" in said),
        Kind.DENY_POLICY: _deny_policies(connection, here),
    }


def application_named(connection: Connection, organization_id: str, name: str) -> apim.Application | None:
    """The application of that name; files know one by its name alone."""
    found = apim.applications_named(connection, organization_id, name)
    return found[0] if found else None


def subscription_name(application: str, api: str, version: str) -> str:
    """How a plan calls a subscription; no name holds a ">"."""
    return f"{application} > {api} {version}"


def subscribed_api(application: str, subscription: str) -> tuple[str, str]:
    """Name and version of the API in the name of one of the application's subscriptions."""
    name, _, version = subscription.removeprefix(f"{application} > ").rpartition(" ")
    return name, version


def _organization(organization: Organization) -> Actual:
    return Actual(
        {
            "display_name": organization.display_name,
            "features": sorted(organization.features),
            "chain": str(organization.chain),
        }
    )


def _user_store(store: identity.UserStoreSettings) -> Actual:
    picture = user_store_picture(store.type, store.position, store.options, store.settings)
    return Actual(picture, frozenset(store.sealed))


def user_store_picture(
    type_name: str, position: int, options: identity.StoreOptions, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """A user store of any type, without secrets; what is not set is absent."""
    return {"type": type_name, "position": position, **options.model_dump(mode="json"), **settings}


def _plan(plan: apim.Plan) -> Actual:
    return Actual(
        {
            "requests": plan.requests,
            "per": str(plan.per),
            "burst": limit_text(plan.burst),
            "bandwidth": None if plan.bandwidth is None else apim.written_bandwidth(plan.bandwidth),
        }
    )


def limit_text(limit: Any) -> str | None:
    """A limit in a few words; None where there is none."""
    return None if limit is None else f"{limit.requests} per {limit.per}"


def role_picture(role: permissions.Role) -> Actual:
    """A role with its members by kind, as text."""
    members: dict[str, list[str]] = {"users": [], "groups": [], "clients": []}
    for member in sorted(role.members):
        members[f"{member.kind}s"].append(
            str(member) if member.kind != "group" else f"{member.store}/{member.name}"
        )
    return Actual({"permissions": list(role.permissions), **members})


def _users(
    connection: Connection, organization_id: str, file: OrganizationFile, names: Names
) -> dict[str, Actual]:
    found: dict[str, Actual] = {}
    for part in file.users:
        user = identity.find_user(connection, organization_id, _primary_or_nobody(names, part.username))
        if user is not None:
            found[user.username] = Actual({"claims": dict(user.claims)}, frozenset({"password"}))
    return found


def _primary_or_nobody(names: Names, username: str) -> str:
    """What cannot be a name is nobody's; it is complained about where the file's wishes are read."""
    try:
        return names.primary_user(username)
    except Unacceptable:
        return ""


def _scope(scope: oauth.ScopeSpec) -> Actual:
    return Actual(
        {
            "display_name": scope.display_name,
            "description": scope.description,
            "roles": sorted(scope.roles),
            "everyone": scope.everyone,
        }
    )


def _apis(
    connection: Connection, organization_id: str, file: OrganizationFile, *, everything: bool
) -> dict[str, Actual]:
    if everything:
        found: Iterable[apim.API | None] = apim.list_apis(connection, organization_id)
    else:
        found = (apim.find_api_named(connection, organization_id, api.name, api.version) for api in file.apis)
    return {f"{api.name} {api.version}": _api(api) for api in found if api is not None}


def _api(api: apim.API) -> Actual:
    return Actual(
        {
            "context": api.context,
            "state": str(api.state),
            **backend_picture(api.backend),
            "plans": list(api.plans),
            "resources": [resource_text(r.method, r.path, r.scopes, r.auth, r.limit) for r in api.resources],
            "limit": limit_text(api.limit),
            "security": [str(kind) for kind in api.security],
            "cors": {
                name: list(one) if isinstance(one, tuple) else one for name, one in asdict(api.cors).items()
            },
            "default_version": api.default_version,
            "assertion": {"claims": list(api.assertion_claims)},
        },
        frozenset({"backend.client_certificate.key"} if api.backend.client_certificate else ()),
    )


def backend_picture(backend: apim.Backend) -> dict[str, Any]:
    """A backend with its certificates by fingerprint; a key is not in the picture."""
    mine = backend.client_certificate
    return {
        "production": list(backend.production),
        "sandbox": list(backend.sandbox),
        "timeout_ms": backend.timeout_ms,
        "connect_timeout_ms": backend.connect_timeout_ms,
        "health_check": backend.health_check,
        "server_name": backend.server_name,
        "ca": apim.fingerprint(backend.ca),
        "client_certificate": apim.fingerprint(mine.certificate if mine else None),
        "breaker_failures": backend.breaker_failures,
        "breaker_pause_seconds": backend.breaker_pause_seconds,
    }


def resource_text(method: str, path: str, scopes: Any, auth: str, limit: Any) -> str:
    """A resource in one line."""
    said = [] if auth == "any" else [f"auth={auth}"]
    limited = [] if limit is None else [f"({limit_text(limit)})"]
    return " ".join([method, path, *said, *(f"[{scope}]" for scope in scopes), *limited])


def deny_name(condition: str, value: str, invert: bool) -> str:
    """How a plan calls a deny policy."""
    return f"{condition} {'all but ' if invert else ''}{value}"


def _deny_policies(connection: Connection, organization_id: str) -> dict[str, Actual]:
    return {
        deny_name(one.condition, apim.written_value(connection, one), one.invert): Actual(
            {"enabled": one.enabled}
        )
        for one in apim.list_deny_policies(connection, organization_id)
    }


def find_deny_policy(connection: Connection, organization_id: str, name: str) -> apim.DenyPolicy | None:
    """The deny policy that a plan calls so."""
    for one in apim.list_deny_policies(connection, organization_id):
        if deny_name(one.condition, apim.written_value(connection, one), one.invert) == name:
            return one
    return None


def _applications(
    connection: Connection, organization_id: str, file: OrganizationFile, *, everything: bool
) -> dict[Kind, dict[str, Actual]]:
    applications: dict[str, Actual] = {}
    clients: dict[str, Actual] = {}
    subscriptions: dict[str, Actual] = {}
    named: dict[str, apim.Application | None] = {}
    if everything:
        listed = reversed(apim.list_applications(connection, organization_id))
        named = {application.name: application for application in listed}
    for part in file.applications:
        named[part.name] = application_named(connection, organization_id, part.name)
    said = {part.name: [keys.client_id for _, keys in keys_of(part)] for part in file.applications}
    for name, application in named.items():
        if application is not None:
            applications[name] = Actual({"owner": application.owner, "tier": application.tier})
            subscriptions |= _subscriptions(connection, organization_id, application)
        held = list(application.keys.values()) if application else []
        for client_id in dict.fromkeys([*held, *said.get(name, ())]):
            client = oauth.find_client(connection, organization_id, client_id)
            if client is not None:
                clients[client_id] = _client(connection, organization_id, client)
    return {Kind.APPLICATION: applications, Kind.CLIENT: clients, Kind.SUBSCRIPTION: subscriptions}


def settings_of_client(client: oauth.Client) -> dict[str, object]:
    """What a file says of a client besides whose it is, by the keys of the file."""
    return {
        "grant_types": sorted(client.grant_types),
        "token_format": str(client.token_format),
        "scopes": None if client.scopes is None else sorted(client.scopes),
        "default_scope": sorted(client.default_scope),
        "strict_scopes": client.strict_scopes,
        "internal_scopes": client.internal_scopes,
        "validity_period": str(client.validity),
        "access_token_lifetime_seconds": _seconds(client.access_token_lifetime),
        "refresh_token_lifetime_seconds": _seconds(client.refresh_token_lifetime),
        "user_stores": None if client.user_stores is None else list(client.user_stores),
    }


def _client(connection: Connection, organization_id: str, client: oauth.Client) -> Actual:
    keys = apim.find_keys(connection, organization_id, client.client_id)
    owner = apim.find_application(connection, organization_id, keys.application_id) if keys else None
    picture = {
        "application": owner.name if owner else None,
        "key_type": str(keys.key_type) if keys else None,
        **settings_of_client(client),
    }
    return Actual(picture, frozenset({"client_secret"} if client.secret_fingerprint else ()))


def _subscriptions(
    connection: Connection, organization_id: str, application: apim.Application
) -> dict[str, Actual]:
    found: dict[str, Actual] = {}
    for subscription in apim.subscriptions_of_application(connection, organization_id, application.id):
        api = apim.get_api(connection, organization_id, subscription.api_id)
        name = subscription_name(application.name, api.name, api.version)
        found[name] = Actual({"application": application.name, "plan": subscription.plan})
    return found


def _seconds(lifetime: timedelta | None) -> int | None:
    return None if lifetime is None else lifetime // timedelta(seconds=1)
