"""User names: what a person types, what we compare, what we write (RFC 8265).

`john`, `JOHN@my_company` and `PRIMARY/john` are one name in `my_company`; so are
`john@example.com` and `john@example.com@my_company`. What is typed is split first (suffix, then
prefix) and canonicalized after, except for full-width letters, which would hide `@` and `/`.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from precis_i18n import get_profile

from ostiary.identity.errors import InvalidUserName

PRIMARY = "PRIMARY"
"""The store every organization has: users whose passwords we keep ourselves."""

LONGEST_INPUT = 512
LONGEST_NAME = 255

_CASE_MAPPED = get_profile("UsernameCaseMapped")
_CASE_PRESERVED = get_profile("UsernameCasePreserved")


@dataclass(frozen=True, slots=True)
class UserName:
    """A parsed user name of one organization.

    `store` is None where none was named. `mapped` is what case-insensitive stores compare,
    `preserved` what case-sensitive ones do.
    """

    organization: str
    store: str | None
    mapped: str
    preserved: str

    @classmethod
    def parse(cls, text: str, organization: str, stores: Mapping[str, bool] | None = None) -> "UserName":
        """Read what a person typed at `organization`; `stores` are its outside stores' names.

        The text after the last `@` is stripped only if it is the organization's name. Then a
        prefix up to `/` must be the name of a store, whatever its case.

        Raises:
            InvalidUserName: unknown prefix, `/` in the name, too long, or refused by RFC 8265 §3.3.
        """
        if len(text) > LONGEST_INPUT:
            raise InvalidUserName(f"a user name has at most {LONGEST_INPUT} characters")
        rest = _without_suffix(_width_mapped(text), organization)
        prefix, slash, name = rest.partition("/")
        store = _known_store(prefix, stores or {}) if slash else None
        name = name if slash else rest
        if "/" in name:
            raise InvalidUserName("a user name holds no '/' except after the name of its user store")
        return cls(organization, store, _enforce(_CASE_MAPPED, name), _enforce(_CASE_PRESERVED, name))

    def canonical(self, *, case_sensitive: bool = False) -> str:
        """The name as a store compares it, and exactly what is sent to the store."""
        return self.preserved if case_sensitive else self.mapped

    def within(self) -> str:
        """`[STORE/]name` in its canonical form: the store only where it was typed."""
        return f"{self.store}/{self.mapped}" if self.store else self.mapped

    def display(self) -> str:
        """`[STORE/]name@organization`; PRIMARY has no prefix."""
        return display_name(self.store or PRIMARY, self.mapped, self.organization)


def display_name(store: str, username: str, organization: str) -> str:
    """How a person is written in claims and logs, so that no name looks like another organization's."""
    prefix = "" if store == PRIMARY else f"{store}/"
    return f"{prefix}{username}@{organization}"


def canonical_or_none(text: str, *, case_sensitive: bool = False) -> str | None:
    """A name that a store tells, as we compare it; None where it cannot be one."""
    profile = _CASE_PRESERVED if case_sensitive else _CASE_MAPPED
    try:
        return None if "/" in text else _enforce(profile, _width_mapped(text))
    except InvalidUserName:
        return None


def named_organization(text: str) -> str | None:
    """What follows the last `@`, which may or may not be an organization."""
    _, at, suffix = _width_mapped(text[:LONGEST_INPUT]).rpartition("@")
    return suffix.lower() if at else None


def is_text(value: str, longest: int) -> bool:
    """Whether this is 1 to `longest` characters that every database and protocol can carry."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return 0 < len(value) <= longest and "\x00" not in value


def _without_suffix(text: str, organization: str) -> str:
    name, at, suffix = text.rpartition("@")
    return name if at and suffix.lower() == organization else text


def _known_store(prefix: str, stores: Mapping[str, bool]) -> str:
    store = prefix.upper() if prefix.isascii() else prefix
    if store != PRIMARY and store not in stores:
        raise InvalidUserName("the part before '/' is not the name of a user store")
    return store


def _width_mapped(text: str) -> str:
    """RFC 8265 §3.3.2 step 1: full-width and half-width characters become ordinary ones."""
    return text if text.isascii() else "".join(map(_ordinary_width, text))


def _ordinary_width(character: str) -> str:
    kind, _, code_points = unicodedata.decomposition(character).partition(" ")
    if kind not in ("<wide>", "<narrow>"):
        return character
    return "".join(chr(int(point, 16)) for point in code_points.split())


def _enforce(profile: object, name: str) -> str:
    """Apply a PRECIS profile until it changes nothing more (RFC 8264 §7: four times at most)."""
    try:
        for _ in range(4):
            enforced = str(profile.enforce(name))  # type: ignore[attr-defined]
            if enforced == name:
                break
            name = enforced
        else:
            raise InvalidUserName("a user name must have one canonical form (RFC 8265 §3.3)")
    except UnicodeError as error:
        raise InvalidUserName("a user name is letters, digits and ASCII symbols without spaces") from error
    if len(name) > LONGEST_NAME:
        raise InvalidUserName(f"a user name has at most {LONGEST_NAME} characters")
    return name
