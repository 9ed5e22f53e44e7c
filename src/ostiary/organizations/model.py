"""What an organization is."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

DEFAULT_ORGANIZATION = "default"
CHALLENGE_QUESTIONS: Final = "challenge_questions"
"""The feature that lets people answer challenge questions."""
Feature = Literal["challenge_questions"]
"""What an organization may turn on."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{1,62}\Z")


class InvalidOrganizationName(ValueError):
    """The text cannot be an organization's name; says what one looks like."""


class OrganizationGone(Exception):
    """The organization was removed while something was done in it: nothing of that is kept."""


class ChainPolicy(StrEnum):
    """When the chain of user stores stops asking."""

    FIRST_KNOWN = "first_known"
    """A store that knows the user decides."""
    ANY = "any"
    """Every refusal lets the next store be asked."""


@dataclass(frozen=True, slots=True)
class Organization:
    """A tenant: users, APIs and clients that belong together."""

    id: str
    name: str
    display_name: str
    features: frozenset[str] = frozenset()
    chain: ChainPolicy = ChainPolicy.FIRST_KNOWN

    @property
    def is_default(self) -> bool:
        """Whether URLs without `/t/{organization}` mean this one."""
        return self.name == DEFAULT_ORGANIZATION


def parse_name(text: str) -> str:
    """An organization's name, as given.

    Raises:
        InvalidOrganizationName: not 2 to 63 of a-z, 0-9, `_`, `-`, starting with a letter or digit.
    """
    if not is_name(text):
        raise InvalidOrganizationName(
            "an organization's name has 2 to 63 characters of a-z, 0-9, _ and -, the first no _ or -"
        )
    return text


def is_name(text: str) -> bool:
    """Whether an organization can have this name at all."""
    return _NAME.match(text) is not None


def issuer_of(public_url: str, organization: Organization) -> str:
    """The organization's issuer: `{public_url}` for the default one, else `{public_url}/t/{name}`."""
    return public_url if organization.is_default else f"{public_url}/t/{organization.name}"
