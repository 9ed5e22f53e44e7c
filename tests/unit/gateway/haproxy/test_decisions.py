"""A decision as HAProxy's maps keep it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.gateway.haproxy import Decision, Quota, decision_entry, encode_decision

DECISION = Decision(
    api_id="api",
    credential_sha256="ab" * 32,
    expires_at=1_800_000_000,
    epoch=5,
    organization_id="org",
    subject="subject",
    client_id="mobile app",
    application_id="application",
    key_type="PRODUCTION",
    scopes=frozenset({"b", "a:x"}),
    quota=Quota("subscription", 5, "minute"),
    assertion="h.p.s",
    subscription_id="subscription",
)


def test_a_decision_is_fields_in_a_fixed_order():
    assert decision_entry(DECISION) == (
        "decisions-ab.map",
        "api:" + "ab" * 32,
        "66b49d20000000005Pam-000181|"
        + "org|subscription|5|api|application|subscription|||,a%3Ax,b,|subject|mobile%20app|".ljust(355, "-")
        + "|h.p.s",
    )


@pytest.mark.parametrize("scopes", [0, 3, 3_000])
def test_a_decision_says_where_its_assertion_begins(scopes: int):
    value = encode_decision(replace(DECISION, scopes=frozenset(map(str, range(scopes)))))

    begins = int(value[21:27], 16)
    assert value[begins - 1 :] == DECISION.assertion
    assert (begins == 385) == (scopes < 3_000)


def test_other_limits_are_one_field():
    limited = replace(
        DECISION,
        burst=Quota("burst:s", 2, "second"),
        bandwidth=Quota("s", 10, "day"),
        application=Quota("a:u", 20, "minute"),
    )

    value = encode_decision(limited)
    assert value[20] == "+"
    assert value.split("|")[7] == ("burst+burst%3As+2+second&bandwidth+s+10+day&application+a%3Au+20+minute")


def test_no_quota_and_no_scope_are_empty():
    value = encode_decision(replace(DECISION, quota=None, scopes=frozenset()))

    assert value.startswith(
        "66b49d20000000005Pa--000181|org|||api|application|subscription|||,|subject|mobile%20app|--"
    )


def test_numbers_too_large_for_the_head_refuse_sooner_never_later():
    value = encode_decision(replace(DECISION, expires_at=2**53, epoch=2**53))

    assert value[1:17] == "fffffffe" * 2


def test_commas_are_of_scopes_alone():
    """The gateway looks for a scope between commas in the whole text."""
    plain = replace(DECISION, scopes=frozenset())
    bound = replace(plain, addresses=("127.0.0.1", "::1", "10.0.0.0/8"), referers=("a", "b,c", "d"))
    limited = replace(bound, burst=Quota("a,b", 2, "second"), bandwidth=Quota("s", 10, "day"))

    assert encode_decision(replace(limited, subject="a,b,", client_id=",c,")).count(",") == 1


@pytest.mark.parametrize("level", ["quota", "burst", "bandwidth", "application"])
def test_an_unknown_period_is_an_error(level: str):
    with pytest.raises(ValueError, match="per fortnight"):
        encode_decision(replace(DECISION, **{level: Quota("s", 1, "fortnight")}))


def test_a_key_that_would_be_cut_is_an_error():
    with pytest.raises(ValueError, match="cut"):
        encode_decision(replace(DECISION, quota=Quota("s" * 81, 1, "day")))


@given(st.text(max_size=6), st.frozensets(st.text()))
def test_every_value_is_one_word(name: str, scopes: frozenset[str]):
    decision = replace(DECISION, client_id=name, subject=name, scopes=scopes, quota=Quota(name, 1, "day"))

    assert not set(encode_decision(decision)) & set(" ;\\\n\r\t\"'<")


def test_the_agents_bookkeeping_is_not_stored():
    noted = replace(DECISION, token_id="t", family="f", kid="k", plan="Gold")

    assert encode_decision(noted) == encode_decision(DECISION)
