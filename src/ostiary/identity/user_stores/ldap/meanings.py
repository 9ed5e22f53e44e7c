"""What a directory's refusals mean, for whoever administers it. A client is told nothing of this."""

from __future__ import annotations

import re
from typing import Final

from anyldap.ldap.controls.ppolicy import PasswordPolicyControl
from anyldap.ldap.errors import LDAPError

_AD_CODE = re.compile(r"data ([0-9a-f]{3,8})\b")
_AD_MEANINGS: Final = {
    "525": "no such user",
    "52e": "wrong password",
    "530": "not at this time",
    "531": "not from this workstation",
    "532": "the password has expired",
    "533": "the account is disabled",
    "701": "the account has expired",
    "773": "the password must be changed",
    "775": "the account is locked",
}
"""Active Directory: the code after `data` in the answer to a bind (MS-ADTS §3.1.1.3.1.3.3)."""

_POLICY_MEANINGS: Final = {
    0: "the password has expired",
    1: "the account is locked",
    2: "the password must be changed",
    3: "the password may not be changed",
    4: "the old password is needed",
    5: "the password is too weak",
    6: "the password is too short",
    7: "the password is too young",
    8: "the password was used before",
}
"""Password policies (draft-behera-ldap-password-policy §6.2)."""


def meaning_of(error: LDAPError) -> str:
    """What the directory says, in words, with its code."""
    found = _AD_CODE.search(error.info or "")
    if found is not None:
        code = found[1]
        return f"{_AD_MEANINGS.get(code, 'refused')}, code {code}"
    policy = next((one for one in _controls(error) if isinstance(one, PasswordPolicyControl)), None)
    if policy is not None and policy.error is not None:
        return policy_meaning(policy.error)
    return f"{error.desc}, code {error.errnum}"


def policy_meaning(code: int) -> str:
    """What a password policy's code means."""
    return _POLICY_MEANINGS.get(code, f"password policy, code {code}")


def _controls(error: LDAPError) -> list[object]:
    fields = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return list(fields.get("ctrls") or ())
