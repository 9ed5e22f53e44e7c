"""People, groups and clients as a file writes them, made what the slices compare."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ostiary import apim
from ostiary.declarative.complaints import Unacceptable, did_you_mean
from ostiary.declarative.schema import OrganizationFile
from ostiary.identity import PRIMARY, InvalidUserName, UserName
from ostiary.permissions import MemberName, a_client, a_group


@dataclass(frozen=True, slots=True)
class Names:
    """How names are read in one organization; `stores` says of each store whether case matters there."""

    organization: str
    stores: Mapping[str, bool]

    @classmethod
    def of(cls, file: OrganizationFile, existing: Mapping[str, bool]) -> "Names":
        """The names of a file: its stores, taking effect or not, and those that exist."""
        said = {store.name: store.case_sensitive for store in file.user_stores}
        return cls(file.organization.name, {**existing, **said})

    def user(self, text: str) -> MemberName:
        """`[STORE/]name` of a user.

        Raises:
            Unacceptable: it cannot be one, or the store is unknown.
        """
        try:
            parsed = UserName.parse(text, self.organization, self.stores)
        except InvalidUserName as error:
            close = did_you_mean(text.partition("/")[0], self.stores) if "/" in text else ""
            raise Unacceptable(repr(text), f"[STORE/]name: {error}{close and f' ({close})'}") from None
        store = parsed.store or PRIMARY
        return MemberName("user", store, parsed.canonical(case_sensitive=self.stores.get(store, False)))

    def primary_user(self, text: str) -> str:
        """The canonical name of a PRIMARY user.

        Raises:
            Unacceptable: it cannot be one, or names another store.
        """
        member = self.user(text)
        if member.store != PRIMARY:
            raise Unacceptable(repr(text), "a user of PRIMARY; people of other stores stay where they are")
        return member.name

    def denied(self, condition: str, text: str) -> str:
        """What a deny policy is about, in its one spelling.

        Raises:
            Unacceptable: it cannot be.
        """
        try:
            if condition == "IP":
                return str(apim.parse_address(text))
            if condition == "IPRANGE":
                return "-".join(map(str, apim.address_range(text)))
        except apim.Invalid as error:
            raise Unacceptable(error.found, error.expected) from None
        if condition == "USER":
            return f"{self.user(text)}@{self.organization}"
        if condition == "APPLICATION":
            owner, separator, name = text.partition(":")
            if not separator:
                raise Unacceptable(repr(text), "owner:name of an application")
            return f"{self.user(owner)}:{name}"
        return text

    def group(self, text: str) -> MemberName:
        """`STORE/group`; the store may be one that is still to come.

        Raises:
            Unacceptable: no store or no group is named.
        """
        member = a_group(text)
        if "/" not in text or not member.name or not member.store:
            raise Unacceptable(repr(text), "STORE/group")
        return member

    @staticmethod
    def client(text: str) -> MemberName:
        """A client by its id."""
        return a_client(text)


def written_person(text: str, organization: str) -> str:
    """`[STORE/]name` as a file must write it, so that it is read as just this person.

    What follows the last `@` is not part of a name if it is the organization: then it is said twice.
    """
    _, at, suffix = text.rpartition("@")
    return f"{text}@{organization}" if at and suffix.lower() == organization else text


def is_of_known_store(text: str, stores: Collection[str]) -> bool:
    """Whether a person, written `[STORE/]name[@organization]`, is of PRIMARY or one of the stores."""
    store, slash, _ = text.rpartition("/")
    return not slash or store in (PRIMARY, *stores)
