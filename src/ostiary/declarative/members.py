"""Who has a role, said at the role (`users`) and at the user (`roles`): both together are one list.

A pair of a role and a user is decided by the file when it says the role's users or the user's
roles; then the user is a member if either side says so. Every other pair stays as it is.
"""

from collections.abc import Callable, Mapping

from ostiary.declarative.complaints import Complaint, Path, Unacceptable
from ostiary.declarative.names import Names
from ostiary.declarative.plan import Actual, Wish
from ostiary.declarative.schema import OrganizationFile, RolePart
from ostiary.permissions import ADMIN_ROLE, BUILT_IN_ROLES, MemberName, admin_permissions

_NOBODY: Mapping[str, list[str]] = {"users": [], "groups": [], "clients": []}


def role_wishes(
    file: OrganizationFile, actual: Mapping[str, Actual], names: Names, complaints: list[Complaint]
) -> dict[str, Wish]:
    """The roles of the file, and those whose members its users change."""
    said_by_users = _roles_of_users(file, names)
    parts = {role.name: (index, role) for index, role in enumerate(file.roles)}
    mentioned = dict.fromkeys(role for roles, _ in said_by_users.values() for role in roles)
    touched = dict.fromkeys([*parts, *mentioned, *_losing(actual, said_by_users)])
    wishes: dict[str, Wish] = {}
    for name in touched:
        before = actual[name].picture if name in actual else _new(name)
        index, part = parts.get(name, (None, None))
        path: Path = ("roles", index) if index is not None else _first_mention(name, said_by_users)
        picture = dict(before) if part is None else _said(part, path, before, names, complaints)
        role_says = part is not None and part.users is not None
        picture["users"] = _with_users(name, picture["users"], said_by_users, role_says=role_says)
        if name == ADMIN_ROLE:
            picture["permissions"] = list(admin_permissions(file.organization.name))
        wishes[name] = Wish(path, picture)
    return wishes


def _new(name: str) -> Mapping[str, list[str]]:
    return {"permissions": list(BUILT_IN_ROLES.get(name, ())), **_NOBODY}


def _roles_of_users(file: OrganizationFile, names: Names) -> dict[str, tuple[list[str], Path]]:
    found: dict[str, tuple[list[str], Path]] = {}
    for index, user in enumerate(file.users):
        if user.roles is not None:
            try:
                found[names.primary_user(user.username)] = (user.roles, ("users", index, "roles"))
            except Unacceptable:
                continue  # complained about where users are read
    return found


def _losing(actual: Mapping[str, Actual], said: Mapping[str, tuple[list[str], Path]]) -> list[str]:
    return [
        role
        for role, now in actual.items()
        if any(role not in roles and user in now.picture["users"] for user, (roles, _) in said.items())
    ]


def _first_mention(role: str, said: Mapping[str, tuple[list[str], Path]]) -> Path:
    places = [(*path, roles.index(role)) for roles, path in said.values() if role in roles]
    return places[0] if places else ("users",)


def _said(
    part: RolePart, path: Path, before: Mapping[str, list[str]], names: Names, complaints: list[Complaint]
) -> dict[str, list[str]]:
    said = before["permissions"] if part.permissions is None else part.permissions
    picture: dict[str, list[str]] = {"permissions": list(dict.fromkeys(said))}
    readers: tuple[tuple[str, list[str] | None, Callable[[str], MemberName]], ...] = (
        ("users", part.users, names.user),
        ("groups", part.groups, names.group),
        ("clients", part.clients, names.client),
    )
    for key, texts, read in readers:
        if texts is None:
            picture[key] = list(before[key])
            continue
        found: set[str] = set()
        for position, text in enumerate(texts):
            try:
                member = read(text)
            except Unacceptable as error:
                complaints.append(Complaint((*path, key, position), error.found, error.expected))
                continue
            found.add(f"{member.store}/{member.name}" if key == "groups" else str(member))
        picture[key] = sorted(found)
    return picture


def _with_users(
    role: str, users: list[str], said: Mapping[str, tuple[list[str], Path]], *, role_says: bool
) -> list[str]:
    listing = {user for user, (roles, _) in said.items() if role in roles}
    leaving = set() if role_says else {user for user in said if user not in listing}
    return sorted((set(users) - leaving) | listing)
