"""Applying organization files: plan, hash what must be hashed, then everything in one transaction.

Passwords are hashed between a first look and the transaction. The look finds what cannot be, so that a
refused apply and a dry run, which is the look and nothing more, keep no writer waiting. The plan is made
again inside the transaction; if somebody changed the organization meanwhile, the whole thing starts over.
"""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice

from sqlalchemy import Connection, func, select

from ostiary import apim
from ostiary.declarative.checking import Clients, foresee
from ostiary.declarative.complaints import Complaint, Refused, Unacceptable
from ostiary.declarative.current import read_state
from ostiary.declarative.dangling import dangling
from ostiary.declarative.desired import wishes_of
from ostiary.declarative.limits import MOST_COMPLAINTS, refuse_too_many_changes
from ostiary.declarative.names import Names
from ostiary.declarative.notices import notices
from ostiary.declarative.plan import Change, Kind, Wishes, difference
from ostiary.declarative.pruning import pruned, with_gone, without
from ostiary.declarative.schema import OrganizationFile, UserPart
from ostiary.declarative.writing import Tools, Work, carry_out
from ostiary.foundation.database import Database
from ostiary.foundation.identifiers import new_id
from ostiary.identity import PasswordHasher, list_user_stores
from ostiary.organizations import Organization, find, is_taken

_ATTEMPTS = 5


class Moved(Exception):
    """The organization was changed by somebody else at the same time, again and again."""


@dataclass(frozen=True, slots=True)
class OrganizationPlan:
    """What applying one file changes. `notices`: what the file says and what takes no effect yet."""

    organization: str
    changes: tuple[Change, ...]
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _How:
    """What an apply does besides: set secrets that are set already, remove what a file does not list."""

    set_secrets: bool
    prune: bool


@dataclass(frozen=True, slots=True)
class _Look:
    """What a file wants and what there is, at one moment."""

    organization: Organization | None
    names: Names
    wishes: Wishes
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Applying:
    """The use case: make organizations what their files say."""

    database: Database
    hasher: PasswordHasher
    tools: Tools

    async def apply(
        self,
        files: list[OrganizationFile],
        *,
        dry_run: bool = False,
        set_secrets: bool = False,
        prune: bool = False,
    ) -> list[OrganizationPlan]:
        """Apply all files in one transaction, or none; returns what changed, or would.

        With `prune`, what a section that a file says does not list is removed.

        Raises:
            Refused: with everything that cannot be; nothing was changed.
            Moved: others kept changing the same organizations.
        """
        _refuse_repeated(files)
        how = _How(set_secrets, prune)
        for _ in range(_ATTEMPTS):
            looks = await self.database.read(partial(self._foresee, files=files, how=how))
            if dry_run or not any(look.changes for look in looks):
                return [_plan(file, look) for file, look in zip(files, looks, strict=True)]
            hashes = [await self._hashes(file, look) for file, look in zip(files, looks, strict=True)]
            unit = partial(self._write, files=files, looks=looks, hashes=hashes, how=how)
            try:
                await self.database.write(unit)
            except Moved:
                continue
            return [_plan(file, look) for file, look in zip(files, looks, strict=True)]
        raise Moved("the organization is being changed by somebody else; apply again")

    async def _hashes(self, file: OrganizationFile, look: _Look) -> dict[str, str]:
        by_name = {look.names.primary_user(user.username): user for user in file.users}
        wanted = [c.name for c in look.changes if c.kind is Kind.USER and "password" in c.sets]
        return {name: await self._hash(by_name[name]) for name in wanted}

    async def _hash(self, user: UserPart) -> str:
        if user.password is None or user.password.value is None:
            raise LookupError(f"{user.username} has no password to hash")
        return await self.hasher.hash(user.password.value)

    def _foresee(self, connection: Connection, *, files: list[OrganizationFile], how: _How) -> list[_Look]:
        looks = _look_at(connection, files, how)
        complaints: list[Complaint] = []
        clients, count = Clients(), 0
        for position, (file, look) in enumerate(zip(files, looks, strict=True)):
            count = refuse_too_many_changes(position, look.changes, count)
            found = foresee(self._work(connection, file, look, {}), look.changes, clients)
            complaints += _of_document(position, found)
        if complaints:
            raise Refused(complaints)
        return looks

    def _work(
        self, connection: Connection, file: OrganizationFile, look: _Look, hashes: Mapping[str, str]
    ) -> Work:
        here = look.organization.id if look.organization else new_id()
        return Work(connection, here, file, look.names, look.wishes, hashes, self.tools)

    def _write(
        self,
        connection: Connection,
        *,
        files: list[OrganizationFile],
        looks: list[_Look],
        hashes: list[dict[str, str]],
        how: _How,
    ) -> None:
        for file in sorted(files, key=lambda file: file.organization.name):
            _alone(connection, file.organization.name)
        if _look_at(connection, files, how) != looks:
            raise Moved
        complaints: list[Complaint] = []
        for position, (file, look, hashed) in enumerate(zip(files, looks, hashes, strict=True)):
            work = self._work(connection, file, look, hashed)
            complaints += _of_document(position, carry_out(work, look.changes))
        if complaints:
            raise Refused(complaints)


def _look_at(connection: Connection, files: list[OrganizationFile], how: _How) -> list[_Look]:
    looks: list[_Look] = []
    complaints: list[Complaint] = []
    for position, file in enumerate(files):
        try:
            looks.append(_look(connection, file, how))
        except Refused as refused:
            complaints += _of_document(position, refused.complaints)
    if complaints:
        raise Refused(complaints)
    return looks


def _look(connection: Connection, file: OrganizationFile, how: _How) -> _Look:
    organization = _known(connection, file.organization.name)
    stores = list_user_stores(connection, organization.id) if organization else ()
    staying_stores = [store for store in stores if not (how.prune and "user_stores" in file.model_fields_set)]
    names = Names.of(file, {store.name: store.case_sensitive for store in staying_stores})
    _check_names(file, names)
    state = read_state(connection, organization, file, names, prune=how.prune)
    gone = pruned(file, state) if how.prune else {}
    staying = without(state, gone)
    offered = _offered(connection, organization, file, gone.get(Kind.API, ()))
    if complaints := list(islice(dangling(file, state, staying, offered), MOST_COMPLAINTS)):
        raise Refused(complaints)
    wishes = with_gone(wishes_of(file, state, names), gone)
    return _Look(organization, names, wishes, difference(state, wishes, set_secrets=how.set_secrets))


def _known(connection: Connection, name: str) -> Organization | None:
    found = find(connection, name)
    if found is None and is_taken(connection, name):
        expected = "a name that is free: what is left of the organization that had it is being removed"
        raise Refused([Complaint(("organization", "name"), repr(name), expected)])
    return found


def _check_names(file: OrganizationFile, names: Names) -> None:
    """Two spellings of one user are one user."""
    first: dict[str, int] = {}
    complaints: list[Complaint] = []
    for index, user in enumerate(file.users):
        with suppress(Unacceptable):  # complained about with all other names
            name = names.primary_user(user.username)
            if name in first:
                expected = f"it once (it is entry {first[name] + 1} too)"
                path = ("users", index, "username")
                complaints.append(Complaint(path, f"the user {name!r} a second time", expected))
            first.setdefault(name, index)
    if complaints:
        raise Refused(complaints)


def _offered(
    connection: Connection, organization: Organization | None, file: OrganizationFile, gone: Collection[str]
) -> Mapping[str, tuple[str, ...]]:
    """The plans of the API versions that the file has or its subscriptions name; none of those that go."""
    offered = {f"{api.name} {api.version}": tuple(api.plans) for api in file.apis}
    for part in file.applications if organization else ():
        for wanted in part.subscriptions or ():
            key = f"{wanted.api} {wanted.version}"
            if organization and key not in offered and key not in gone:
                api = apim.find_api_named(connection, organization.id, wanted.api, wanted.version)
                offered |= {key: api.plans} if api else {}
    return offered


def _refuse_repeated(files: list[OrganizationFile]) -> None:
    first: dict[str, int] = {}
    complaints: list[Complaint] = []
    for position, file in enumerate(files):
        name = file.organization.name
        if name in first:
            path = ("documents", position, "organization", "name")
            complaints.append(Complaint(path, f"{name!r} a second time", "one document for an organization"))
        first.setdefault(name, position)
    if complaints:
        raise Refused(complaints)


def _of_document(position: int, complaints: Iterable[Complaint]) -> list[Complaint]:
    return [complaint.under("documents", position) for complaint in complaints]


def _plan(file: OrganizationFile, look: _Look) -> OrganizationPlan:
    return OrganizationPlan(file.organization.name, look.changes, tuple(notices(file)))


def _alone(connection: Connection, organization: str) -> None:
    """One apply at a time for an organization; on SQLite there is one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"apply {organization}"))))
