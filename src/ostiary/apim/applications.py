"""Applications and their keys: what a subscriber registers, and the clients it calls with."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from ostiary.apim import repository
from ostiary.apim.errors import Conflict, Invalid, NotFound
from ostiary.apim.model import Application, ApplicationKeys, KeyType, parse_name
from ostiary.foundation.events import Event, record
from ostiary.foundation.identifiers import new_id
from ostiary.oauth import delete_client, find_client
from ostiary.organizations import narrow


@dataclass(frozen=True, slots=True)
class ApplicationSpec:
    """What a subscriber says about an application; the owner is written `[STORE/]name`."""

    name: str
    owner: str
    owner_subject: str | None = None


def create_application(connection: Connection, organization_id: str, spec: ApplicationSpec) -> Application:
    """Register an application, without keys.

    Raises:
        Invalid: a name that cannot be.
        Conflict: the owner has one of that name.
    """
    parse_name(spec.name)
    _parse_owner(spec.owner)
    for other in repository.list_applications(connection, organization_id):
        if (other.name, other.owner) == (spec.name, spec.owner):
            raise Conflict(f"{spec.owner} has an application {spec.name} already")
    application = Application(new_id(), organization_id, spec.name, spec.owner, spec.owner_subject)
    repository.insert_application(connection, application)
    record(connection, Event("application", organization_id, application.id))
    return application


def change_application(
    connection: Connection, organization_id: str, application_id: str, spec: ApplicationSpec
) -> Application:
    """Rename an application or give it to another owner.

    Raises:
        NotFound: the organization has no such application.
        Invalid: a name that cannot be.
        Conflict: the owner has another of that name.
    """
    found = get_application(connection, organization_id, application_id)
    parse_name(spec.name)
    _parse_owner(spec.owner)
    changed = replace(found, name=spec.name, owner=spec.owner, owner_subject=spec.owner_subject)
    if changed != found:
        repository.update_application(connection, changed)
        record(connection, Event("application", organization_id, application_id))
    return changed


def delete_application(connection: Connection, organization_id: str, application_id: str) -> None:
    """Remove an application with its subscriptions and clients; its tokens are refused from then on.

    Raises:
        NotFound: the organization has no such application.
    """
    application = get_application(connection, organization_id, application_id)
    for subscription in repository.subscriptions_of_application(connection, organization_id, application_id):
        repository.remove_subscription(connection, organization_id, subscription.id)
        record(connection, Event("subscription", organization_id, subscription.id))
    for key_type in application.keys:
        delete_keys(connection, organization_id, application_id, key_type)
    repository.remove_application(connection, organization_id, application_id)
    narrow(connection, organization_id, "application", application_id)
    record(connection, Event("application", organization_id, application_id))


def add_keys(
    connection: Connection, organization_id: str, application_id: str, key_type: KeyType, client_id: str
) -> ApplicationKeys:
    """Make a client of the organization the application's.

    Raises:
        NotFound: the organization has no such application or client.
        Conflict: the application has keys of that type, or the client is another application's.
    """
    application = get_application(connection, organization_id, application_id)
    if find_client(connection, organization_id, client_id) is None:
        raise NotFound("client", client_id)
    keys = ApplicationKeys(organization_id, application_id, key_type, client_id)
    if application.keys.get(key_type) == client_id:
        return keys
    if key_type in application.keys:
        raise Conflict(f"the application {application.name} has {key_type} keys already")
    if repository.find_keys(connection, organization_id, client_id) is not None:
        raise Conflict(f"the client {client_id} belongs to another application")
    repository.insert_keys(connection, keys)
    record(connection, Event("client", organization_id, client_id))
    return keys


def delete_keys(connection: Connection, organization_id: str, application_id: str, key_type: KeyType) -> None:
    """Take an application's keys of one type away; the client is deleted with them.

    Raises:
        NotFound: the organization has no such application, or it has no such keys.
    """
    application = get_application(connection, organization_id, application_id)
    client_id = application.keys.get(key_type)
    if client_id is None:
        raise NotFound("key", key_type.value)
    repository.remove_keys(connection, organization_id, application_id, key_type)
    delete_client(connection, organization_id, client_id)
    record(connection, Event("client", organization_id, client_id))


def get_application(connection: Connection, organization_id: str, application_id: str) -> Application:
    """The application of that identifier.

    Raises:
        NotFound: the organization has no such application.
    """
    found = repository.find_application(connection, organization_id, application_id)
    if found is None:
        raise NotFound("application", application_id)
    return found


def _parse_owner(text: str) -> None:
    if not text or len(text) > 255 or not text.isprintable():
        raise Invalid("owner", repr(text), "a user name, [STORE/]name")
