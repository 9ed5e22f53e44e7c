"""Everybody the permission matrix speaks of, in a database, and their tokens."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from sqlalchemy import Connection
from tests.http.permissions.matrix import BELOW, SCOPES, Row

from ostiary.app import Settings
from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import write_engine
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.secrets import SecretBox, load_or_create_key
from ostiary.identity import UserSpec, id_of_name, put_user
from ostiary.oauth import Keys, TokenClaims, TokenHolder, TokenSettings
from ostiary.organizations import CHALLENGE_QUESTIONS, Organization, all_organizations, put
from ostiary.permissions import Role, a_client, a_user, admin_permissions, put_role

NOBODY, ADMINISTRATOR = "nobody", "administrator"
_LATER_THAN_ANY = 2**40
"""An epoch: no token here is refused because something was narrowed."""


def organization_of(row: Row) -> str:
    """Whose callers a row is tried with."""
    return "acme" if row.path.startswith(BELOW) else "default"


def holder_of(permissions: frozenset[str]) -> str:
    """Who has exactly these permissions: a user, and a client of the same name."""
    return "-".join(sorted(one.removeprefix("/permission/").replace("/", ".") for one in permissions))[-200:]


@dataclass
class Callers:
    """Users and clients of both organizations. Tokens are signed here as the token endpoint signs them."""

    settings: Settings
    subjects: dict[tuple[str, str], str] = field(default_factory=dict)
    organizations: dict[str, Organization] = field(default_factory=dict)
    tokens: dict[tuple[str, str, bool, frozenset[str]], str] = field(default_factory=dict)

    def make(self, rows: list[Row]) -> None:
        """Write everybody the rows need."""
        self.keys = Keys(
            SecretBox(load_or_create_key(self.settings.data_dir / "secret.key")),
            TokenSettings(),
            lambda _connection, _kid: True,
        )
        self.engine = write_engine(self.settings.database)
        with self.engine.begin() as connection:
            for organization in all_organizations(connection):
                self.organizations[organization.name] = organization
                put(connection, replace(organization, features=frozenset({CHALLENGE_QUESTIONS})))
                mine = [row for row in rows if organization_of(row) == organization.name]
                self._people(connection, organization, {row.permissions for row in mine if row.permissions})

    def _people(
        self, connection: Connection, organization: Organization, wanted: set[frozenset[str]]
    ) -> None:
        everything = frozenset(admin_permissions(organization.name))
        people = {holder_of(permissions): permissions for permissions in wanted}
        people |= {NOBODY: frozenset(), ADMINISTRATOR: everything}
        for name, permissions in people.items():
            put_user(connection, UserSpec(organization.id, name, "$not-a-hash$"), utc_now)
            subject = id_of_name(connection, organization.id, name)
            assert subject is not None
            self.subjects[organization.name, name] = subject
            members = frozenset({a_user(name), a_client(name)})
            role = Role(new_id(), organization.id, name, tuple(permissions), members)
            put_role(connection, role)

    def token(
        self, organization: str, name: str, scopes: frozenset[str], *, is_client: bool = False
    ) -> dict[str, str]:
        """The header of a call with a token of this user, or of the client of that name."""
        known = (organization, name, is_client, scopes)
        if known not in self.tokens:
            self.tokens[known] = self._sign(*known)
        return {"Authorization": f"Bearer {self.tokens[known]}"}

    def _sign(self, organization: str, name: str, is_client: bool, scopes: frozenset[str]) -> str:
        here, now = self.organizations[organization], utc_now()
        claims = TokenClaims(
            token_id=new_id(),
            organization=here,
            client_id=name if is_client else "console",
            holder=TokenHolder.APPLICATION if is_client else TokenHolder.APPLICATION_USER,
            subject=name if is_client else self.subjects[organization, name],
            scope=scopes,
            issued_at=now,
            expires_at=now + timedelta(hours=1),
            epoch=_LATER_THAN_ANY,
        )
        with self.engine.begin() as connection:
            key = self.keys.signing_key(connection, here.id, now)
        return self.keys.sign(key, claims.as_wire(self.settings.issuer_base))

    def everybody(self, row: Row) -> dict[str, tuple[dict[str, str], bool]]:
        """Who calls an operation, with what headers, and whether the guard must let them pass."""
        here = organization_of(row)
        elsewhere = "default" if here == "acme" else "acme"
        holder = holder_of(row.permissions) if row.permissions else NOBODY
        is_for_users, is_permitted = row.audience == "user", bool(row.permissions)
        return {
            "nobody": ({}, False),
            "a user without a role": (self.token(here, NOBODY, frozenset({"internal_login"})), is_for_users),
            "exactly what it takes": (self.token(here, holder, row.scopes), is_for_users or is_permitted),
            "every other scope": (self.token(here, holder, SCOPES - row.scopes), False),
            "a permission taken away since": (self.token(here, NOBODY, row.scopes), is_for_users),
            "an administrator": (self.token(here, ADMINISTRATOR, SCOPES), is_for_users or is_permitted),
            "a client with a role": (self.token(here, holder, row.scopes, is_client=True), is_permitted),
            "a client without a role": (self.token(here, "job", row.scopes, is_client=True), False),
            "another organization's administrator": (self.token(elsewhere, ADMINISTRATOR, SCOPES), False),
        }
