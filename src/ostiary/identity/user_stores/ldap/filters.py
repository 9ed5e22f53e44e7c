"""Search filters with places for values: read once, filled for each login.

A value is put into the filter that was read, as the value of a comparison, and never into its text: nothing
that somebody types can become a part of the filter (RFC 4515).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from anyldap.ldapfilter import parseFilter
from anyldap.protocols.pureber import BERBase, BEROctetString
from anyldap.protocols.pureldap import (
    LDAPAssertionValue,
    LDAPAttributeDescription,
    LDAPAttributeValueAssertion,
    LDAPFilter_and,
    LDAPFilter_equalityMatch,
    LDAPFilter_extensibleMatch,
    LDAPFilter_not,
    LDAPFilter_or,
    LDAPFilter_present,
    LDAPFilter_substrings,
    LDAPFilterSet,
    LDAPMatchingRuleAssertion_matchValue,
    LDAPString,
)

_PLACE = re.compile(rb"\{([a-z]+)\}")


class FilterTemplate:
    """A filter such as `(uid={username})`, ready to be filled."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._filter = parseFilter(text)

    def filled(self, **values: str) -> BERBase:
        """The filter with these values in their places."""
        return _filled(self._filter, {name.encode(): value.encode() for name, value in values.items()})

    def for_anybody(self) -> BERBase:
        """A filter that finds all that this one finds with whatever values, and possibly more."""
        return _for_anybody(self._filter)


def one_of(attribute: str, values: Iterable[bytes], among: BERBase) -> BERBase:
    """The filter of those entries `among` others of which the attribute has one of these values."""
    name = LDAPAttributeDescription(attribute)
    found = [LDAPFilter_equalityMatch(name, LDAPAssertionValue(value)) for value in values]
    return LDAPFilter_and([LDAPFilter_or(found), among])


_ANYTHING = LDAPFilter_present(b"objectClass")


def _for_anybody(node: BERBase) -> BERBase:
    if isinstance(node, LDAPFilterSet):
        return type(node)([_for_anybody(inner) for inner in node], tag=node.tag)
    if not _PLACE.search(node.toWire()):
        return node
    if isinstance(node, LDAPAttributeValueAssertion):
        return LDAPFilter_present(node.attributeDesc.value)
    if isinstance(node, LDAPFilter_substrings):
        return LDAPFilter_present(node.type)
    if isinstance(node, LDAPFilter_extensibleMatch) and node.type is not None:
        return LDAPFilter_present(node.type.value)
    return _ANYTHING


def _filled(node: BERBase, values: Mapping[bytes, bytes]) -> BERBase:
    if isinstance(node, LDAPFilterSet):
        return type(node)([_filled(inner, values) for inner in node], tag=node.tag)
    if isinstance(node, LDAPFilter_not):
        return LDAPFilter_not(_filled(node.value, values))
    if isinstance(node, LDAPAttributeValueAssertion):
        return type(node)(node.attributeDesc, LDAPAssertionValue(_text(node.assertionValue, values)))
    if isinstance(node, LDAPFilter_substrings):
        parts = [type(part)(_text(part, values)) for part in node.substrings if isinstance(part, LDAPString)]
        return LDAPFilter_substrings(type=node.type, substrings=parts)
    if isinstance(node, LDAPFilter_extensibleMatch):
        return LDAPFilter_extensibleMatch(
            matchingRule=node.matchingRule,
            type=node.type,
            matchValue=LDAPMatchingRuleAssertion_matchValue(_text(node.matchValue, values)),
            dnAttributes=node.dnAttributes,
        )
    return node


def _text(part: BEROctetString | None, values: Mapping[bytes, bytes]) -> bytes:
    if part is None:
        return b""
    value = part.value if isinstance(part.value, bytes) else part.value.encode()
    return _PLACE.sub(lambda place: values[place[1]], value)
