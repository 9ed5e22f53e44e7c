"""Whether a signed assertion holds here and now, and whom it is about (RFC 7522 §3).

The rules are a table. They see the signed element alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from lxml import etree

from ostiary.identity.identity_providers.contract import Asserted, AssertionRefused
from ostiary.identity.identity_providers.saml.settings import SAMLSettings
from ostiary.identity.identity_providers.saml.signature import ASSERTION, children, text_of
from ostiary.identity.user_names import canonical_or_none, is_text
from ostiary.identity.user_stores.contract import UserRecord

LONGEST: Final = timedelta(hours=24)
"""An assertion that is good for longer is refused (RFC 7522 §3, 4): its identifier is remembered so long."""
_BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_PERSISTENT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
_TRANSIENT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
_KNOWN_CONDITIONS: Final = frozenset(
    f"{{{ASSERTION}}}{name}" for name in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction")
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?\Z")
_LONGEST_ID: Final = 255


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What an assertion is held against: our names, where it was brought, and when."""

    names: frozenset[str]
    """By which we may be its audience."""
    recipients: frozenset[str]
    """Addresses that it may be meant to be brought to."""
    now: datetime
    skew: timedelta

    def is_over(self, end: datetime) -> bool:
        """Whether that time has passed."""
        return self.now - self.skew >= end

    def is_early(self, begin: datetime) -> bool:
        """Whether that time is still to come."""
        return self.now + self.skew < begin


def judge(
    assertion: etree._Element, settings: SAMLSettings, here: Circumstances, *, case_sensitive: bool
) -> Asserted:
    """Hold an assertion whose signature is right against every rule, and read whom it is about.

    Raises:
        AssertionRefused: says which rule it breaks.
    """
    for holds in CHECKS:
        holds(assertion, here)
    ends_at = min(_ends(assertion, here))
    if ends_at - here.now > LONGEST + here.skew:
        raise AssertionRefused(
            f"an assertion that is over within {LONGEST // timedelta(hours=1)} hours was expected"
        )
    record = _person(assertion, settings, here, case_sensitive=case_sensitive)
    return Asserted(settings.entity_id, assertion.get("ID", ""), record, ends_at + here.skew)


def conditions_are_understood(assertion: etree._Element, _: Circumstances) -> None:
    """SAML Core §2.5.1: a condition that nobody here knows is not met."""
    conditions = _conditions(assertion)
    if any(one.tag not in _KNOWN_CONDITIONS for one in conditions):
        raise AssertionRefused("it has a condition that is not known here")


def audience_is_us(assertion: etree._Element, here: Circumstances) -> None:
    """RFC 7522 §3, 2. SAML Core §2.5.1.4: every restriction, by any of its audiences."""
    restrictions = list(children(_conditions(assertion), "AudienceRestriction"))
    if not restrictions:
        raise AssertionRefused("an AudienceRestriction was expected")
    for restriction in restrictions:
        if here.names.isdisjoint(map(text_of, children(restriction, "Audience"))):
            raise AssertionRefused(f"an Audience among {', '.join(sorted(here.names))} was expected")


def time_is_right(assertion: etree._Element, here: Circumstances) -> None:
    """SAML Core §2.5.1.2."""
    _check_window(_conditions(assertion), here)
    issued = assertion.get("IssueInstant")
    if issued is None or here.is_early(_time(issued)):
        raise AssertionRefused("an IssueInstant that is not in the future was expected")


def bearer_is_confirmed(assertion: etree._Element, here: Circumstances) -> None:
    """RFC 7522 §3, 5: by one confirmation, with all that it says."""
    if not list(_confirmations(assertion, here)):
        raise AssertionRefused(
            "a bearer SubjectConfirmation was expected that is not over and whose Recipient is "
            f"among {', '.join(sorted(here.recipients))}"
        )


def session_is_not_over(assertion: etree._Element, here: Circumstances) -> None:
    """SAML Core §2.7.2: the session at the provider that it speaks of."""
    for statement in children(assertion, "AuthnStatement"):
        end = statement.get("SessionNotOnOrAfter")
        if end is not None and here.is_over(_time(end)):
            raise AssertionRefused("the session at the identity provider is over")


CHECKS: Sequence[Callable[[etree._Element, Circumstances], None]] = (
    conditions_are_understood,  # SAML Core §2.5.1
    audience_is_us,  # RFC 7522 §3, 2
    time_is_right,  # RFC 7522 §3, 4
    bearer_is_confirmed,  # RFC 7522 §3, 5
    session_is_not_over,  # SAML Core §2.7.2
)


def _conditions(assertion: etree._Element) -> etree._Element:
    found = list(children(assertion, "Conditions"))
    if len(found) != 1:
        raise AssertionRefused("one Conditions element was expected")
    return found[0]


def _check_window(element: etree._Element, here: Circumstances) -> None:
    begin, end = element.get("NotBefore"), element.get("NotOnOrAfter")
    if begin is not None and here.is_early(_time(begin)):
        raise AssertionRefused("it is not valid yet")
    if end is not None and here.is_over(_time(end)):
        raise AssertionRefused("it is over")


def _confirmations(assertion: etree._Element, here: Circumstances) -> Iterator[datetime | None]:
    """Ends of the bearer confirmations that hold; None where only the conditions say one."""
    conditions_end = _conditions(assertion).get("NotOnOrAfter")
    for one in children(_subject(assertion), "SubjectConfirmation"):
        if one.get("Method") != _BEARER:
            continue
        said = list(children(one, "SubjectConfirmationData"))
        if not said and conditions_end is not None:
            yield None
        for data in said:
            end = data.get("NotOnOrAfter")
            if data.get("NotBefore") is not None or data.get("Recipient") not in here.recipients:
                continue
            if end is None and conditions_end is None:
                continue
            if end is None or not here.is_over(_time(end)):
                yield None if end is None else _time(end)


def _ends(assertion: etree._Element, here: Circumstances) -> Iterator[datetime]:
    """When the assertion is over, by each part that says so; by the longest of its confirmations."""
    end = _conditions(assertion).get("NotOnOrAfter")
    confirmed = list(_confirmations(assertion, here))
    if end is not None:
        yield _time(end)
    if None not in confirmed:
        yield max(one for one in confirmed if one is not None)
    for statement in children(assertion, "AuthnStatement"):
        session = statement.get("SessionNotOnOrAfter")
        if session is not None:
            yield _time(session)


def _subject(assertion: etree._Element) -> etree._Element:
    found = list(children(assertion, "Subject"))
    if len(found) != 1:
        raise AssertionRefused("one Subject was expected")
    return found[0]


def _person(
    assertion: etree._Element, settings: SAMLSettings, here: Circumstances, *, case_sensitive: bool
) -> UserRecord:
    attributes = _attributes(assertion)
    name, own = _only(attributes, settings.username), _only(attributes, settings.id)
    if name is None or own is None:
        name_id = _name_id(assertion, settings.entity_id, here)
        name, own = name or text_of(name_id), own or _identifier(name_id)
    username = canonical_or_none(name, case_sensitive=case_sensitive)
    if username is None:
        raise AssertionRefused("a user name was expected that can be one (RFC 8265 §3.3), without '/'")
    if not is_text(own, _LONGEST_ID):
        raise AssertionRefused(f"an identifier of at most {_LONGEST_ID} characters was expected")
    claims = {
        claim: ",".join(values)
        for claim, attribute in settings.claims.items()
        if (values := attributes.get(attribute))
    }
    groups = frozenset(attributes.get(settings.groups or "", ()))
    return UserRecord(own, username, groups, claims)


def _name_id(assertion: etree._Element, entity_id: str, here: Circumstances) -> etree._Element:
    """The NameID, where it names somebody for longer than a session, by the provider's own name for us."""
    found = list(children(_subject(assertion), "NameID"))
    if len(found) != 1 or not text_of(found[0]):
        raise AssertionRefused("one NameID with a text was expected, not encrypted")
    name = found[0]
    if name.get("Format", "").strip() == _TRANSIENT:
        raise AssertionRefused(
            "a NameID that is not transient was expected, or attributes for id and username"
        )
    if name.get("NameQualifier", entity_id) != entity_id:
        raise AssertionRefused("a NameID of the identity provider's own was expected")
    given_to = name.get("SPNameQualifier")
    if given_to is not None and given_to not in here.names:
        raise AssertionRefused("a NameID for one of the names that we have there was expected")
    return name


def _identifier(name_id: etree._Element) -> str:
    """SAML Core §8.3.7: a persistent identifier is another one for each application it was given to."""
    given_to, text = name_id.get("SPNameQualifier"), text_of(name_id)
    return f"{given_to}!{text}" if given_to and name_id.get("Format", "").strip() == _PERSISTENT else text


def _attributes(assertion: etree._Element) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for statement in children(assertion, "AttributeStatement"):
        for attribute in children(statement, "Attribute"):
            values = filter(None, map(text_of, children(attribute, "AttributeValue")))
            found.setdefault(attribute.get("Name", ""), []).extend(values)
    return found


def _only(attributes: dict[str, list[str]], name: str | None) -> str | None:
    """The one value of an attribute that has to be there; None where none is asked for."""
    if name is None:
        return None
    values = attributes.get(name, [])
    if len(values) != 1:
        raise AssertionRefused(f"one value of the attribute {name} was expected")
    return values[0]


def _time(text: str) -> datetime:
    """SAML Core §1.3.3: UTC, with or without saying so."""
    if not _TIME.match(text):
        raise AssertionRefused("a time such as 2031-05-01T12:00:00Z was expected")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise AssertionRefused("a time such as 2031-05-01T12:00:00Z was expected") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
