"""Applications and their keys: what a subscriber registers, and the clients it calls with."""

from contextlib import suppress
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from ostiary.apim import repository
from ostiary.apim.errors import Conflict, Invalid, NotFound
from ostiary.apim.limits import UNLIMITED, parse_tier
from ostiary.apim.model import Application, ApplicationKeys, KeyType, parse_name
from ostiary.apim.publishing import forget_deny_policies
from ostiary.foundation import audit
from ostiary.foundation.events import Event, record
from ostiary.foundation.identifiers import new_id
from ostiary.identity import PRIMARY, InvalidUserName, UserName, find_user, list_user_stores
from ostiary.oauth import UnknownClient, delete_client, find_client
from ostiary.organizations import by_id, narrow


@dataclass(frozen=True, slots=True)
class ApplicationSpec:
    """What a subscriber says about an application; the owner is written `[STORE/]name`, canonical.

    `owner_subject` is for people of other stores than PRIMARY, where it is known.
    """

    name: str
    owner: str
    owner_subject: str | None = None
    tier: str | None = None
    """`None` keeps it; a new application is unlimited."""


def create_application(connection: Connection, organization_id: str, spec: ApplicationSpec) -> Application:
    """Register an application, without keys.

    Raises:
        Invalid: a name or tier that cannot be, or an owner who is not a user.
        Conflict: the owner has one of that name.
    """
    parse_name(spec.name)
    subject = _owner_subject(connection, organization_id, spec)
    for other in repository.applications_named(connection, organization_id, spec.name):
        if other.owner == spec.owner:
            raise Conflict(f"{spec.owner} has an application {spec.name} already")
    tier = parse_tier(spec.tier or UNLIMITED)
    application = Application(new_id(), organization_id, spec.name, spec.owner, subject, tier)
    repository.insert_application(connection, application)
    record(connection, Event("application", organization_id, application.id))
    audit.note(connection, organization_id, "application", application.id, None, _picture(application))
    return application


def change_application(
    connection: Connection, organization_id: str, application_id: str, spec: ApplicationSpec
) -> Application:
    """Rename an application, give it to another owner or put it into another tier.

    Raises:
        NotFound: the organization has no such application.
        Invalid: a name or tier that cannot be, or an owner who is not a user.
        Conflict: the owner has another of that name.
    """
    found = get_application(connection, organization_id, application_id)
    parse_name(spec.name)
    subject = _owner_subject(connection, organization_id, spec)
    tier = found.tier if spec.tier is None else parse_tier(spec.tier)
    changed = replace(found, name=spec.name, owner=spec.owner, owner_subject=subject, tier=tier)
    if changed != found:
        repository.update_application(connection, changed)
        record(connection, Event("application", organization_id, application_id))
        old, new = _picture(found), _picture(changed)
        audit.note(connection, organization_id, "application", application_id, old, new)
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
        audit.note(connection, organization_id, "subscription", subscription.id, subscription, None)
    for key_type in application.keys:
        delete_keys(connection, organization_id, application_id, key_type)
    for key in repository.api_keys_of(connection, organization_id, application_id):
        repository.remove_api_key(connection, organization_id, key.id)
        record(connection, Event("api_key", organization_id, key.sha256))
        audit.note(connection, organization_id, "api_key", key.id, key, None)
    forget_deny_policies(connection, organization_id, application_id)
    repository.remove_application(connection, organization_id, application_id)
    narrow(connection, organization_id, "application", application_id)
    record(connection, Event("application", organization_id, application_id))
    audit.note(connection, organization_id, "application", application_id, _picture(application), None)


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
    audit.note(connection, organization_id, "application_keys", application_id, None, keys)
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
    old = ApplicationKeys(organization_id, application_id, key_type, client_id)
    audit.note(connection, organization_id, "application_keys", application_id, old, None)
    with suppress(UnknownClient):  # it may have been deleted by itself
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


def canonical_owner(connection: Connection, organization_id: str, text: str) -> str:
    """`[STORE/]name` of an owner as it is compared and written.

    Raises:
        Invalid: it cannot be a user's name here.
    """
    organization = by_id(connection, organization_id)
    stores = {s.name: s.case_sensitive for s in list_user_stores(connection, organization_id)}
    try:
        name = UserName.parse(text, organization.name if organization else "", stores)
    except InvalidUserName as error:
        raise Invalid("owner", repr(text), f"[STORE/]name: {error}") from None
    store = name.store or PRIMARY
    canonical = name.canonical(case_sensitive=stores.get(store, False))
    return canonical if store == PRIMARY else f"{store}/{canonical}"


def check_owner(connection: Connection, organization_id: str, owner: str) -> None:
    """Refuse an owner, written `[STORE/]name`, who is not a user.

    Raises:
        Invalid: it cannot be one, or PRIMARY has no such user.
    """
    _owner_subject(connection, organization_id, ApplicationSpec("", owner))


def _picture(application: Application) -> dict[str, object]:
    """An application as the audit log has it: who owns it is personal."""
    store, _, username = application.owner.rpartition("/")
    person = application.owner_subject or audit.named(store or PRIMARY, username)
    return {
        "name": application.name,
        "owner": audit.Personal(person, application.owner),
        "tier": application.tier,
        "keys": application.keys,
    }


def _owner_subject(connection: Connection, organization_id: str, spec: ApplicationSpec) -> str | None:
    if not spec.owner or len(spec.owner) > 255 or not spec.owner.isprintable():
        raise Invalid("owner", repr(spec.owner), "a user name, [STORE/]name")
    if "/" in spec.owner:
        return spec.owner_subject
    user = find_user(connection, organization_id, spec.owner)
    if user is None:
        raise Invalid("owner", repr(spec.owner), "a user of PRIMARY, or STORE/name of another user store")
    return user.subject_id
