"""The backend JWT (`X-JWT-Assertion`): who calls, for which application, under which subscription.

It is signed by the node's own key, has a `typ` of its own and the API as its audience, so nobody can take
it for an access token, and no access token for it (RFC 8725 §3.11, §3.12). The claims `http://wso2.org/claims/…`
are the ones backends of the field read; `enduserTenantId` is a number of another product and not sent.
"""

from __future__ import annotations

from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey

from ostiary.foundation.identifiers import new_id
from ostiary.gateway.node.authorize import Grant
from ostiary.gateway.node.tokens import ALGORITHM, end_user
from ostiary.gateway.told import ToldClaims

TYPE: Final = "backend+jwt"
OUTLIVES_DECISION_SECONDS: Final = 60
_DIALECT: Final = "http://wso2.org/claims/"


def sign(
    grant: Grant,
    kid: str,
    key: ECKey,
    now: int,
    decision_expires_at: int,
    user: ToldClaims | None = None,
) -> str:
    """Sign the backend JWT of a decision; it is valid 60 s longer than the decision.

    `user` is what the API asks to be told of the user who calls, where it asks.
    """
    claims = assertion_claims(grant, now, decision_expires_at + OUTLIVES_DECISION_SECONDS)
    if user is not None:
        claims = told_of(user) | claims  # what the assertion itself says is never overwritten
    header = {"alg": ALGORITHM, "typ": TYPE, "kid": kid}
    return jwt.encode(header, claims, key, algorithms=[ALGORITHM])


def told_of(user: ToldClaims) -> dict[str, Any]:
    """Return what a backend is told of a user besides; `claims_left_out` names what it asked for in vain."""
    told: dict[str, Any] = {f"{_DIALECT}{name}": value for name, value in user.claims.items()}
    return told | ({"claims_left_out": list(user.left_out)} if user.left_out else {})


def assertion_claims(grant: Grant, now: int, expires_at: int) -> dict[str, Any]:
    """Return what the backend is told. Times are seconds since 1970."""
    api, application, claims = grant.api, grant.application, grant.claims
    told = {
        "subscriber": application.owner,
        "applicationid": application.id,
        "applicationname": application.name,
        "applicationtier": application.tier,
        "applicationUUId": application.id,
        "apicontext": api.context,
        "apiname": api.name,
        "version": api.version,
        "tier": grant.plan.name,
        "keytype": grant.client.key_type,
        "usertype": claims.usertype,
        "enduser": end_user(claims) or application.owner,
    }
    return {
        "iss": grant.organization.issuer,
        "aud": f"{grant.organization.name}{api.context}/{api.version}",
        "sub": claims.subject,
        "iat": now,
        "exp": expires_at,
        "jti": new_id(),
        **{f"{_DIALECT}{name}": value for name, value in told.items()},
    }
