"""How each kind of thing is removed: by the use case of its slice, which tells gateways and the audit log."""

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Connection

from ostiary import apim, identity, oauth, permissions
from ostiary.declarative.current import find_deny_policy
from ostiary.declarative.plan import Kind


def _user_store(connection: Connection, organization_id: str, name: str) -> None:
    identity.delete_user_store(connection, organization_id, name, oauth.clients_asking)


def _plan(connection: Connection, organization_id: str, name: str) -> None:
    for plan in apim.list_plans(connection, organization_id):
        if plan.name == name:
            apim.delete_plan(connection, organization_id, plan.id)


def _role(connection: Connection, organization_id: str, name: str) -> None:
    known = permissions.find_role(connection, organization_id, name)
    role = known and permissions.role_by_id(connection, organization_id, known.id)
    if role:
        permissions.delete_role(connection, role)


def _api(connection: Connection, organization_id: str, called: str) -> None:
    name, _, version = called.rpartition(" ")
    api = apim.find_api_named(connection, organization_id, name, version)
    if api is not None:
        apim.delete_api(connection, organization_id, api.id)


def _application(connection: Connection, organization_id: str, name: str) -> None:
    """Files know applications by their name, whoever owns them."""
    for application in apim.applications_named(connection, organization_id, name):
        apim.delete_application(connection, organization_id, application.id)


def _client(connection: Connection, organization_id: str, client_id: str) -> None:
    keys = apim.find_keys(connection, organization_id, client_id)
    if keys is not None:
        apim.delete_keys(connection, organization_id, keys.application_id, keys.key_type)


def _subscription(connection: Connection, organization_id: str, called: str) -> None:
    application_name, _, api = called.partition(" > ")
    name, _, version = api.rpartition(" ")
    there = apim.find_api_named(connection, organization_id, name, version)
    for application in apim.applications_named(connection, organization_id, application_name)[:1]:
        known = there and apim.find_subscription_to(connection, organization_id, application.id, there.id)
        if known:
            apim.unsubscribe(connection, organization_id, known.id)


def _deny_policy(connection: Connection, organization_id: str, called: str) -> None:
    known = find_deny_policy(connection, organization_id, called)
    if known is not None:
        apim.delete_deny_policy(connection, organization_id, known.id)


REMOVERS: Final[Mapping[Kind, Callable[[Connection, str, str], None]]] = {
    Kind.USER_STORE: _user_store,
    Kind.PLAN: _plan,
    Kind.ROLE: _role,
    Kind.SCOPE: oauth.delete_scope,
    Kind.API: _api,
    Kind.APPLICATION: _application,
    Kind.CLIENT: _client,
    Kind.SUBSCRIPTION: _subscription,
    Kind.DENY_POLICY: _deny_policy,
}
"""What removes a thing of that kind, by organization and name."""
