"""What an organization has and no file can say: in words, for the person who exports it."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from ostiary import apim, identity, oauth
from ostiary.declarative.names import is_of_known_store
from ostiary.permissions import Role


def of_users(users: Sequence[identity.User]) -> Iterator[str]:
    """A file cannot turn a user off."""
    for user in users:
        if user.disabled:
            yield f"that the user {user.username} is disabled"


def of_roles(roles: Sequence[Role], stores: Collection[str]) -> Iterator[str]:
    """Members that nobody can be, because their user store is gone; applying the file takes them out."""
    for role in roles:
        for member in sorted(role.members):
            if member.kind == "user" and not is_of_known_store(str(member), stores):
                yield f"the member {member} of the role {role.name}: there is no such user store"


def of_applications(applications: Sequence[apim.Application], stores: Collection[str]) -> Iterator[str]:
    """Applications after the first of a name, which a file tells apart by name alone."""
    first: dict[str, str] = {}
    for application in applications:
        if application.name in first:
            other = first[application.name]
            yield f"the application {application.name} of {application.owner}: that of {other} has its name"
        elif not is_of_known_store(application.owner, stores):
            owner = application.owner
            yield f"that the owner of {application.name}, {owner}, is of no user store there is: name another"
        first.setdefault(application.name, application.owner)


def of_clients(clients: Mapping[str, oauth.Client], held: Collection[str]) -> Iterator[str]:
    """Clients of no application, and what a file does not say of those that are of one."""
    for client_id, client in clients.items():
        if client_id not in held:
            yield f"the client {client_id}: it is of no application"
            continue
        marks = {"public": client.is_public, "disabled": client.is_disabled}
        for mark in (mark for mark, holds in marks.items() if holds):
            yield f"that the client {client_id} is {mark}"


def of_subscriptions(name: str, subscription: apim.Subscription) -> Iterator[str]:
    """A file cannot block."""
    if subscription.state != apim.SubscriptionState.UNBLOCKED:
        yield f"that the subscription {name} is {subscription.state}"
