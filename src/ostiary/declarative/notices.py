"""What a file may say already and what takes effect with a later version only."""

from collections.abc import Iterable, Iterator

from ostiary.declarative.consistency import keys_of
from ostiary.declarative.schema import KeysPart, OrganizationFile
from ostiary.oauth import GrantType

_OPENID = "openid"
_WORKING = frozenset(str(grant) for grant in GrantType)


def notices(file: OrganizationFile) -> list[str]:
    """One sentence for each thing that is checked and not in effect yet."""
    return [f"not in effect yet: {thing}" for thing in _things(file)]


def working_grant_types(keys: KeysPart) -> list[str]:
    """The grant types of a client that exist already."""
    return sorted(set(keys.grant_types) & _WORKING)


def working_scopes(values: Iterable[str]) -> list[str]:
    """The scopes that a client can be registered for already."""
    return sorted(set(values) - {_OPENID})


def _things(file: OrganizationFile) -> Iterator[str]:
    for application in file.applications:
        for kind, keys in keys_of(application):
            if unknown := sorted(set(keys.grant_types) - _WORKING):
                yield f"the grant types {', '.join(unknown)} of {application.name} ({kind})"
            if _OPENID in {*(keys.scopes or ()), *keys.default_scope}:
                yield f"the scope {_OPENID} of {application.name} ({kind})"
