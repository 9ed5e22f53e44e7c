"""What an API wants its backend told of the user who calls, besides who that is: claims, by their names.

A claim is asked for by the name it has in the user stores, or by the one that backends of the field know it
by. Both are one claim, `http://wso2.org/claims/…` in the backend JWT.
"""

import re
from collections.abc import Mapping
from typing import Final

from ostiary.apim.errors import Invalid

DIALECT: Final = "http://wso2.org/claims/"
MOST_CLAIMS: Final = 20
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_IN_DIALECT: Final[Mapping[str, str]] = {  # OIDC Core §5.1 → the dialect
    "name": "fullname",
    "given_name": "givenname",
    "family_name": "lastname",
    "middle_name": "middleName",
    "email": "emailaddress",
    "phone_number": "telephone",
    "birthdate": "dob",
    "locale": "local",
    "zoneinfo": "timeZone",
    "website": "url",
    "picture": "photourl",
}
_OF_TOKENS: Final = (  # RFC 7519 §4.1, RFC 7662 §2.2, RFC 9068 §2.2, and ours
    *("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "typ", "kid"),
    *("active", "client_id", "scope", "username", "act", "may_act", "cnf", "azp", "nonce", "sid"),
    *("auth_time", "acr", "amr", "aut", "org", "store", "epoch", "family", "groups"),
)
_TOLD_ANYWAY: Final = (
    *("subscriber", "applicationid", "applicationname", "applicationtier", "applicationUUId"),
    *("applicationAttributes", "apicontext", "apiname", "version", "tier", "keytype", "usertype"),
    *("enduser", "enduserTenantId"),
)
_RESERVED: Final = frozenset(name.casefold() for name in (*_OF_TOKENS, *_TOLD_ANYWAY))


def claim_in_dialect(name: str) -> str:
    """Return the name of a claim as backends of the field know it, without the dialect's beginning."""
    name = name.removeprefix(DIALECT)
    return _IN_DIALECT.get(name, name)


def parse_claim(text: str) -> str:
    """Check the name of a claim that an API asks for.

    Raises:
        Invalid: it is no name, or the backend JWT says something else under it.
    """
    if not _NAME.fullmatch(text):
        expected = "a claim such as email: a letter, then at most 63 letters, digits, '_', '.' and '-'"
        raise Invalid("assertion.claims", repr(text), expected)
    if claim_in_dialect(text).casefold() in _RESERVED:
        expected = "a claim of users, not a name that tokens or the assertion itself use; leave it out"
        raise Invalid("assertion.claims", repr(text), expected)
    return text


def check_claims(names: tuple[str, ...]) -> None:
    """Check the claims that an API asks for, one by one and against each other.

    Raises:
        Invalid: too many, one that cannot be, or one twice, possibly by another name.
    """
    if len(names) > MOST_CLAIMS:
        raise Invalid("assertion.claims", f"{len(names)} names", f"at most {MOST_CLAIMS}")
    seen: dict[str, str] = {}
    for name in map(parse_claim, names):
        told_as = claim_in_dialect(name)
        if told_as in seen:
            raise Invalid("assertion.claims", repr(name), f"each claim once; {seen[told_as]} is the same")
        seen[told_as] = name
