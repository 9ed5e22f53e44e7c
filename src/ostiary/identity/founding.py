"""Founding organizations: what each begins with, and who administers it first.

Functions of a connection, for the REST API of tenants and for organization files; the row itself is the
`organizations` slice's.
"""

from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.identity.challenges import offer_default_questions
from ostiary.identity.model import UserSpec
from ostiary.identity.users import add_user, canonical_username
from ostiary.organizations import CHALLENGE_QUESTIONS, Organization, add, by_id, put
from ostiary.permissions import a_user, ensure_built_in_roles, give_admin_role


def add_organization(connection: Connection, organization: Organization) -> bool:
    """Create an organization; False where there is one of that name already, which stays as it is."""
    is_new = add(connection, organization)
    if is_new:
        _begin(connection, None, organization)
    return is_new


def put_organization(connection: Connection, organization: Organization) -> None:
    """Create an organization or change what it says of itself."""
    known = by_id(connection, organization.id)
    put(connection, organization)
    _begin(connection, known, organization)


def add_administrator(
    connection: Connection, organization: Organization, spec: UserSpec, clock: Clock
) -> None:
    """Give a new organization its first user, with the role `admin`.

    Raises:
        InvalidUser: names the field and what was expected of it.
    """
    add_user(connection, spec, clock)
    name = canonical_username(connection, organization.id, spec.username)
    give_admin_role(connection, organization, a_user(name))


def _begin(connection: Connection, before: Organization | None, after: Organization) -> None:
    """Make what an organization has from the start, and a feature from when it is turned on."""
    if before is None:
        ensure_built_in_roles(connection, after)
    turned_on = after.features - (frozenset() if before is None else before.features)
    if CHALLENGE_QUESTIONS in turned_on:
        offer_default_questions(connection, after.id)
