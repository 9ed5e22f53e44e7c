"""The SAML 2.0 bearer grant (RFC 7522): whom it lets in, and every way to be refused."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.http.oauth.installation import NOON, PUBLIC_URL, Installation
from tests.http.oauth.partner import IDP, OTHER, TOKEN_URL, a_client, a_provider, redeem, refused, said
from tests.http.oauth.test_token import claims_of
from tests.support.identity import BOX
from tests.support.saml import ENTITY, GRANT, PERSISTENT, Said, SAMLIssuer

from ostiary.identity import (
    PRIMARY,
    StoreOptions,
    UserStoreSpec,
    delete_user_store,
    disable_subject,
    forget_redeemed,
    put_user_store,
    read_user_store_settings,
)
from ostiary.organizations import find
from ostiary.permissions import MemberName

Change = Callable[[Said], Said]
TRANSIENT = PERSISTENT.replace("persistent", "transient")


@pytest.fixture
async def ready(installation: Installation) -> Installation:
    await a_provider(installation)
    await a_client(installation)
    return installation


async def test_an_assertion_becomes_a_token_of_the_person(on_both: Installation):
    await a_provider(on_both, groups="memberOf", claims={"email": "mail"})
    await a_client(on_both)
    attributes = {"memberOf": ["sales", "staff"], "mail": ["a@partner.example"]}
    await on_both.a_role("clerk", MemberName("group", "PARTNER", "sales"))
    await on_both.a_scope("orders:write", roles=["clerk"])

    answer = await redeem(on_both, IDP.assertion(said(attributes=attributes)), scope="orders:write")

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["scope"], body["expires_in"]) == ("orders:write", 360)
    assert body["refresh_token"]
    claims = await claims_of(on_both, body["access_token"])
    assert (claims["store"], claims["username"]) == ("PARTNER", "alice@partner.example")
    assert claims["exp"] - claims["iat"] == 300 + 60  # as long as the assertion is taken


async def test_the_same_person_has_one_subject_whatever_the_name(ready: Installation):
    await a_provider(ready, id="uid", username="mail")
    tokens = [
        (
            await redeem(ready, IDP.assertion(said(id=f"_{n}", attributes={"uid": ["4711"], "mail": [name]})))
        ).json()
        for n, name in enumerate(("alice@a.example", "renamed@a.example"))
    ]

    claims = [await claims_of(ready, token["access_token"]) for token in tokens]

    assert len({one["sub"] for one in claims}) == 1
    assert [one["username"] for one in claims] == ["alice@a.example", "renamed@a.example"]


async def test_an_assertion_is_used_once_by_whoever_comes_first(on_both: Installation):
    await a_provider(on_both)
    await a_client(on_both)
    assertion = IDP.assertion(said())

    answers = await asyncio.gather(*(redeem(on_both, assertion) for _ in range(8)))

    assert sorted(one.status_code for one in answers) == [200] + [400] * 7
    texts = {one.json().get("error_description") for one in answers if one.status_code == 400}
    assert texts == {"the assertion has been used already"}


async def test_what_is_used_is_remembered_until_nobody_could_use_it(ready: Installation):
    assertion = IDP.assertion(said())
    assert (await redeem(ready, assertion)).status_code == 200

    ready.clock.now = NOON + timedelta(minutes=5, seconds=30)  # within the skew
    late = (await redeem(ready, IDP.assertion(said(id="_late")))).json()
    assert late["expires_in"] == 30
    assert await ready.database.write(lambda c: forget_redeemed(c, ready.clock())) == 0
    assert await refused(ready, assertion) == "the assertion has been used already"
    ready.clock.now = NOON + timedelta(minutes=12)
    assert await ready.database.write(lambda c: forget_redeemed(c, ready.clock())) == 2
    assert await refused(ready, assertion) == "it is over"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda one: replace(one, audience="https://elsewhere.example"), "an Audience among"),
        (lambda one: replace(one, audience=f"{PUBLIC_URL}"), "an Audience among"),  # another organization's
        (lambda one: replace(one, recipient="https://elsewhere.example"), "a bearer SubjectConfirmation"),
        (lambda one: replace(one, recipient=f"{PUBLIC_URL}/oauth2/token"), "a bearer SubjectConfirmation"),
        (lambda one: replace(one, issuer="https://other.example"), "the Issuer is no identity provider"),
        (lambda one: replace(one, name=""), "one NameID with a text"),
        (lambda one: replace(one, name="a/b"), "a user name was expected"),
        (lambda one: replace(one, name="x" * 300), "a user name was expected"),
        (lambda one: replace(one, now=NOON - timedelta(minutes=7)), "it is over"),
        (lambda one: replace(one, now=NOON + timedelta(minutes=2)), "it is not valid yet"),
        (lambda one: replace(one, minutes=60 * 25), "is over within 24 hours"),
        (
            lambda one: replace(
                one, name_attributes='Format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient"'
            ),
            "a NameID that is not transient",
        ),
        (
            lambda one: replace(one, name_attributes='NameQualifier="https://x"'),
            "of the identity provider's own",
        ),
        (
            lambda one: replace(one, name_attributes=f'Format=" {TRANSIENT} "'),
            "a NameID that is not transient",
        ),
        (lambda one: replace(one, name_attributes='SPNameQualifier="https://x"'), "a NameID for one of"),
        (lambda one: replace(one, name="\u00a0alice"), "a user name was expected"),
    ],
)
async def test_each_rule_refuses_by_name(ready: Installation, change: Change, text: str):
    assert text in await refused(ready, IDP.assertion(change(said())))


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (
            "<saml:AudienceRestriction>",
            "<saml:X/><saml:AudienceRestriction>",
            "a condition that",
        ),
        ("cm:bearer", "cm:sender-vouches", "a bearer SubjectConfirmation"),
        (
            "<saml:SubjectConfirmationData ",
            '<saml:SubjectConfirmationData NotBefore="2031-05-01T11:00:00Z" ',
            "bearer",
        ),
        (f' Recipient="{TOKEN_URL}"', "", "a bearer SubjectConfirmation"),
        (
            "<saml:AudienceRestriction>",
            "<saml:AudienceRestriction><saml:Audience>x</saml:Audience>"
            "</saml:AudienceRestriction><saml:AudienceRestriction>",
            "an Audience among",
        ),
        ("<saml:Conditions", "<saml:Conditions></saml:Conditions><saml:Conditions", "one Conditions element"),
        ("2031-05-01T12:05:00Z", "never", "a time such as"),
        ("2031-05-01T12:05:00Z", "2031-13-01T12:05:00Z", "a time such as"),
        ("AuthnInstant", 'SessionNotOnOrAfter="2031-05-01T11:00:00Z" AuthnInstant', "the session at"),
        ('Version="2.0"', 'Version="1.1"', "one SAML 2.0 Assertion"),
        ('IssueInstant="2031-05-01T12:00:00Z"', "", "an IssueInstant"),
        ("<saml:Subject>", "<saml:Subject/><saml:Subject>", "one Subject"),
    ],
)
async def test_what_is_missing_or_too_much_is_refused_by_name(
    ready: Installation, old: str, new: str, text: str
):
    def change(whole: str) -> str:
        assert old in whole
        return whole.replace(old, new)

    assert text in await refused(ready, IDP.assertion(said(change=change)))


async def test_a_missing_assertion_is_an_invalid_request(ready: Installation):
    answer = await ready.token(grant_type=GRANT)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_while_the_key_changes_either_certificate_will_do(installation: Installation):
    old, new = SAMLIssuer(rsa.generate_private_key(65537, 2048), now=NOON), IDP
    await a_provider(installation, certificates=[old.pem, new.pem])
    await a_client(installation)

    for number, issuer in enumerate((old, new)):
        answer = await redeem(installation, issuer.assertion(said(id=f"_{number}")))
        assert answer.status_code == 200, answer.text


async def test_a_certificate_that_is_over_verifies_nothing(installation: Installation):
    old = SAMLIssuer(now=NOON - timedelta(days=10), days=5)
    await a_provider(installation, certificates=[old.pem])
    await a_client(installation)

    await refused(installation, old.assertion(said()))


async def test_what_a_provider_calls_us_may_be_an_alias(ready: Installation):
    """An application's own assertions are for the application; the provider's settings may say so."""
    await a_provider(ready, aliases=["https://app.example/saml", "https://app.example/acs"])
    mine = said(audience="https://app.example/saml", recipient="https://app.example/acs")

    assert (await redeem(ready, IDP.assertion(mine))).status_code == 200


async def test_a_persistent_identifier_is_another_one_for_each_application(ready: Installation):
    """SAML Core §8.3.7."""
    names = ["https://one.example", "https://two.example"]
    await a_provider(ready, aliases=names)
    subjects = []
    for name in (*names, names[0]):
        qualified = f'Format="{PERSISTENT}" SPNameQualifier="{name}"'
        assertion = IDP.assertion(said(id=f"_{len(subjects)}", name_attributes=qualified))
        answer = await redeem(ready, assertion)
        assert answer.status_code == 200, answer.text
        subjects.append((await claims_of(ready, answer.json()["access_token"]))["sub"])

    assert subjects[0] == subjects[2] != subjects[1]


async def test_an_assertion_is_used_once_whatever_provider_it_is_taken_for(ready: Installation):
    """A provider that is known twice, or was removed and made again, makes no new assertion of an old one."""
    await a_provider(ready, "TWIN")
    await a_client(ready, client_id="first", user_stores=("PARTNER",))
    await a_client(ready, client_id="second", user_stores=("TWIN",))
    assertion, here = IDP.assertion(said()), ready.organization.id
    assert (await ready.token("first", grant_type=GRANT, assertion=assertion)).status_code == 200

    answer = await ready.token("second", grant_type=GRANT, assertion=assertion)
    assert answer.json()["error_description"] == "the assertion has been used already"
    for name in ("PARTNER", "TWIN"):
        await ready.database.write(lambda c, name=name: delete_user_store(c, here, name, lambda *_: ()))
    await a_provider(ready)
    assert await refused(ready, assertion) == "the assertion has been used already"


async def test_people_of_two_providers_are_never_one(ready: Installation):
    """Identity is (organization, provider, identifier there)."""
    await a_provider(ready, "SECOND", entity_id="https://second.example", certificates=[OTHER.pem])
    answers = [
        await redeem(ready, IDP.assertion(said())),
        await redeem(ready, OTHER.assertion(said(issuer="https://second.example"))),
    ]

    claims = [await claims_of(ready, one.json()["access_token"]) for one in answers]

    assert len({one["sub"] for one in claims}) == 2
    assert [one["store"] for one in claims] == ["PARTNER", "SECOND"]


async def test_a_provider_speaks_for_itself_alone(ready: Installation):
    """The key of one does not sign for another."""
    await a_provider(ready, "SECOND", entity_id="https://second.example", certificates=[OTHER.pem])

    await refused(ready, OTHER.assertion(said()))


async def test_an_assertion_for_one_organization_is_none_for_another(ready: Installation):
    """The same provider is known in both."""
    default = await ready.database.read(lambda c: find(c, "default"))
    assert default is not None
    settings = read_user_store_settings("saml", {"entity_id": ENTITY, "certificates": [IDP.pem]})
    spec = UserStoreSpec(default.id, "PARTNER", "saml", settings)
    await ready.database.write(lambda c: put_user_store(c, spec, BOX))
    await a_client(ready, client_id="elsewhere", organization=default)

    answer = await ready.token("elsewhere", grant_type=GRANT, assertion=IDP.assertion(said()))

    assert answer.status_code == 400
    assert "an Audience among" in answer.json()["error_description"]


async def test_a_client_takes_whom_it_is_registered_for(ready: Installation):
    await a_client(ready, user_stores=(PRIMARY,))
    assert "no identity provider whose users this client takes" in await refused(ready, IDP.assertion(said()))

    await a_client(ready, user_stores=("PARTNER",))
    assert (await redeem(ready, IDP.assertion(said()))).status_code == 200


async def test_a_client_without_the_grant_is_refused(ready: Installation):
    await ready.a_client("another")

    answer = await ready.token("another", grant_type=GRANT, assertion=IDP.assertion(said()))

    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


async def test_names_outside_of_the_pattern_are_not_taken(ready: Installation):
    await a_provider(ready, options=StoreOptions(accepts="*@partner.example"))

    assert (await redeem(ready, IDP.assertion(said()))).status_code == 200
    assert "trusted with" in await refused(ready, IDP.assertion(said(id="_2", name="bob@other.example")))


async def test_a_disabled_person_is_refused(ready: Installation):
    body = (await redeem(ready, IDP.assertion(said()))).json()
    sub = (await claims_of(ready, body["access_token"]))["sub"]
    await ready.database.write(lambda c: disable_subject(c, ready.organization.id, sub, ready.clock))

    assert await refused(ready, IDP.assertion(said(id="_2"))) == "the user may not log in"
    assert (await ready.refresh(body["refresh_token"])).status_code == 400


async def test_switching_a_provider_off_or_removing_it_ends_what_it_gave(ready: Installation):
    tokens = [(await redeem(ready, IDP.assertion(said(id=f"_{n}")))).json() for n in range(2)]
    await a_provider(ready, options=StoreOptions(enabled=False))

    assert not (await ready.introspect(tokens[0]["access_token"]))["active"]
    assert (await ready.refresh(tokens[0]["refresh_token"])).status_code == 400
    assert "no identity provider" in await refused(ready, IDP.assertion(said(id="_3")))

    await a_provider(ready)
    here = ready.organization.id
    await ready.database.write(lambda c: delete_user_store(c, here, "PARTNER", lambda *_: ()))
    assert (await ready.refresh(tokens[1]["refresh_token"])).status_code == 400


async def test_who_has_left_a_group_keeps_no_token_of_it(ready: Installation):
    await a_provider(ready, groups="memberOf")
    first = (await redeem(ready, IDP.assertion(said(attributes={"memberOf": ["sales"]})))).json()

    second = (await redeem(ready, IDP.assertion(said(id="_2")))).json()

    assert not (await ready.introspect(first["access_token"]))["active"]
    assert (await ready.introspect(second["access_token"]))["active"]


async def test_a_role_by_name_holds_for_the_provider_it_names(ready: Installation):
    await ready.a_role("clerk", MemberName("user", "PARTNER", "alice@partner.example"))
    await ready.a_scope("orders:write", roles=["clerk"])

    answer = await redeem(ready, IDP.assertion(said()), scope="orders:write")

    assert answer.json()["scope"] == "orders:write"


async def test_nobody_of_a_provider_logs_in_with_a_password(ready: Installation):
    for name in ("PARTNER/alice@partner.example", "alice@partner.example"):
        answer = await ready.token(grant_type="password", username=name, password="anything")

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_the_metadata_names_the_grant(ready: Installation):
    answer = await ready.http.get("/t/my_company/.well-known/oauth-authorization-server")

    assert GRANT in answer.json()["grant_types_supported"]


async def test_nothing_of_an_assertion_is_logged(
    ready: Installation, caplog: pytest.LogCaptureFixture, capsys: Any
):
    assertion = OTHER.assertion(said())
    await refused(ready, assertion)

    out = "".join(capsys.readouterr())
    assert assertion not in out
    assert assertion[:60] not in out
