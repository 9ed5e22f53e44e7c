"""The backend JWT: what it says, for whom, and that it is no access token."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc import jwt
from tests.unit.gateway.builders import NOW, a_gateway_plan, a_ring, claims

from ostiary.gateway.node.assertion import sign
from ostiary.gateway.node.authorize import Grant, authorize
from ostiary.gateway.node.keys import generate, public_jwk
from ostiary.gateway.node.tokens import InvalidToken, read_claims, verify
from ostiary.gateway.plan import Key
from ostiary.gateway.told import ToldClaims

NODE_KEY = generate()


def a_grant(**changes: Any) -> Grant:
    return authorize(a_gateway_plan(), "api", read_claims(claims(**changes), "k1"), NOW)


def signed(grant: Grant) -> jwt.Token:
    assertion = sign(grant, "node-key", NODE_KEY, NOW, NOW + 900)
    return jwt.decode(assertion, NODE_KEY, algorithms=["ES256"])


def test_a_backend_is_told_who_calls_and_how() -> None:
    token = signed(a_grant())

    assert token.header == {"alg": "ES256", "typ": "backend+jwt", "kid": "node-key"}
    assert token.claims.pop("jti")
    assert token.claims == {
        "iss": "https://ostiary.example/t/my_company",
        "aud": "my_company/api/1.0.0",
        "sub": "5b0e5c0e-0000-4000-8000-000000000001",
        "iat": NOW,
        "exp": NOW + 960,
        "http://wso2.org/claims/subscriber": "bob@my_company",
        "http://wso2.org/claims/applicationid": "app",
        "http://wso2.org/claims/applicationname": "Mobile",
        "http://wso2.org/claims/applicationtier": "Unlimited",
        "http://wso2.org/claims/applicationUUId": "app",
        "http://wso2.org/claims/apicontext": "/api",
        "http://wso2.org/claims/apiname": "Orders",
        "http://wso2.org/claims/version": "1.0.0",
        "http://wso2.org/claims/tier": "Gold",
        "http://wso2.org/claims/keytype": "PRODUCTION",
        "http://wso2.org/claims/usertype": "APPLICATION_USER",
        "http://wso2.org/claims/enduser": "EXTERNAL/testuser@my_company",
    }


def test_what_is_told_of_the_user_overwrites_nothing() -> None:
    """Whatever a control plane says: who calls is in the token."""
    claims = {"emailaddress": "bob@example.com", "enduser": "eve", "subscriber": "eve", "sub": "eve"}
    user = ToldClaims(9, claims, ("department",))

    assertion = sign(a_grant(), "node-key", NODE_KEY, NOW, NOW + 900, user)

    told = jwt.decode(assertion, NODE_KEY, algorithms=["ES256"]).claims
    before = signed(a_grant()).claims
    assert {name: value for name, value in told.items() if before.get(name) != value and name != "jti"} == {
        "http://wso2.org/claims/emailaddress": "bob@example.com",
        "http://wso2.org/claims/sub": "eve",
        "claims_left_out": ["department"],
    }


@pytest.mark.parametrize(
    ("changes", "end_user"),
    [
        ({"store": "EXTERNAL", "username": "testuser"}, "EXTERNAL/testuser@my_company"),
        ({"store": "PRIMARY", "username": "bob"}, "bob@my_company"),
        ({"store": None, "username": "john@example.com"}, "john@example.com@my_company"),
        ({"store": None, "username": None, "aut": "APPLICATION"}, "bob@my_company"),
    ],
)
def test_a_person_is_written_with_store_and_organization(changes: dict[str, Any], end_user: str) -> None:
    assert signed(a_grant(**changes)).claims["http://wso2.org/claims/enduser"] == end_user


def test_a_backend_jwt_is_never_an_access_token() -> None:
    """Not even if somebody put the node's key among the keys of the organization."""
    ring = a_ring(lambda: NODE_KEY)
    key = Key("node-key", "org-my_company", public_jwk(ring.signing), "active")
    assertion = sign(a_grant(), "node-key", NODE_KEY, NOW, NOW + 900)

    with pytest.raises(InvalidToken):
        verify(assertion, {"node-key": key}.get)
