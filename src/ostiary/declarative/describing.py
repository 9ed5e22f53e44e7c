"""What an organization has, as the parts of a file: every key with its value, secrets as `{unchanged: true}`.

Pure. Lists are in an order that does not depend on when a thing was made. What no file can say is left
to `left_out.py`, what is as it would be without being said to `export.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from typing import Any

from ostiary import apim, identity, oauth
from ostiary.declarative.current import role_picture, settings_of_client
from ostiary.declarative.names import is_of_known_store, written_person
from ostiary.organizations import Organization
from ostiary.permissions import ADMIN_ROLE, BUILT_IN_ROLES, Role

_KEPT = {"unchanged": True}
Part = dict[str, Any]


def organization_part(organization: Organization) -> Part:
    """Who the tenant is."""
    shown = organization.display_name
    return {
        "name": organization.name,
        "display_name": shown if shown != organization.name else None,
        "features": sorted(organization.features),
        "chain": str(organization.chain),
    }


def user_store_part(store: identity.UserStoreSettings) -> Part:
    """A user store of any type; its secrets stay where they are."""
    settings = deepcopy(dict(store.settings))
    for key in sorted(store.sealed):
        *sections, name = key.split(".")
        section = settings
        for step in sections:
            section = section.setdefault(step, {})
        section[name] = _KEPT
    return {"name": store.name, "type": store.type, **identity.options_of(store), **settings}


def user_part(username: str, claims: Mapping[str, str], organization: str) -> Part:
    """A user of PRIMARY. Passwords are nobody's to carry about; roles say who has them."""
    return {"username": written_person(username, organization), "claims": dict(sorted(claims.items()))}


def role_part(role: Role, organization: str, stores: Collection[str]) -> Part | None:
    """A role with its members; None where it is as every organization has it."""
    picture = role_picture(role).picture
    known = [user for user in picture["users"] if is_of_known_store(user, stores)]
    part = {"users": [written_person(user, organization) for user in known]}
    part |= {key: list(picture[key]) for key in ("groups", "clients")}
    part = {key: value for key, value in part.items() if value}
    built_in = BUILT_IN_ROLES.get(role.name)
    if role.name != ADMIN_ROLE and role.permissions != (built_in or ()):
        part = {"permissions": list(role.permissions), **part}
    return {"name": role.name, **part} if part or built_in is None else None


def scope_part(scope: oauth.ScopeSpec) -> Part:
    """An API scope."""
    roles = None if scope.everyone else sorted(scope.roles)
    return {
        "name": scope.name,
        "display_name": scope.display_name,
        "description": scope.description,
        "roles": roles,
        "everyone": scope.everyone,
    }


def plan_part(plan: apim.Plan) -> Part:
    """A plan of the organization's own."""
    return {
        "name": plan.name,
        "requests": plan.requests,
        "per": str(plan.per),
        "burst": _limit(plan.burst),
        "bandwidth": None if plan.bandwidth is None else apim.written_bandwidth(plan.bandwidth),
    }


def api_part(api: apim.API) -> Part:
    """An API version."""
    return {
        "name": api.name,
        "context": api.context,
        "version": api.version,
        "state": str(api.state),
        "backend": _backend(api.backend),
        "plans": list(api.plans),
        "resources": [_resource(resource) for resource in api.resources],
        "limit": _limit(api.limit),
        "security": [str(kind) for kind in api.security],
        "cors": {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(api.cors).items()},
        "default_version": api.default_version,
        "assertion": {"claims": list(api.assertion_claims)},
    }


def application_part(
    application: apim.Application, keys: Mapping[str, Part], subscriptions: Sequence[Part], organization: str
) -> Part:
    """An application with its clients and subscriptions."""
    return {
        "name": application.name,
        "owner": written_person(application.owner, organization),
        "tier": application.tier,
        "keys": dict(keys),
        "subscriptions": list(subscriptions) or None,
    }


def client_part(client: oauth.Client) -> Part:
    """A client of an application."""
    return {
        "client_id": client.client_id,
        "client_secret": _KEPT if client.secret_fingerprint else None,
        **settings_of_client(client),
    }


def deny_part(policy: apim.DenyPolicy, value: str, organization: str) -> Part:
    """A deny policy; `value` as an administrator would write it."""
    owner, separator, name = value.partition(":")
    if policy.condition == apim.DenyCondition.APPLICATION and separator:
        value = f"{written_person(owner, organization)}:{name}"
    return {
        "condition": str(policy.condition),
        "value": value,
        "invert": policy.invert,
        "enabled": policy.enabled,
    }


def _backend(backend: apim.Backend) -> Part:
    mine = backend.client_certificate
    certificate = None if mine is None else {"certificate": mine.certificate, "key": _KEPT}
    addresses = {"production": list(backend.production), "sandbox": list(backend.sandbox)}
    return addresses | backend.options | {"client_certificate": certificate}


def _resource(resource: apim.Resource) -> Part:
    return {
        "method": resource.method,
        "path": resource.path,
        "scopes": list(resource.scopes),
        "limit": _limit(resource.limit),
        "auth": str(resource.auth),
    }


def _limit(limit: apim.Limit | None) -> Part | None:
    return None if limit is None else {"requests": limit.requests, "per": str(limit.per)}
