"""What the gateway's control side refuses."""

from __future__ import annotations


class UnknownExplanation(LookupError):
    """Nothing is known of the request here, or it is another organization's."""


class InvalidPage(ValueError):
    """That is no place in the plan at which a page begins."""


class InvalidNodeKeys(ValueError):
    """The keys a node wants to register are not acceptable; the text says which and why."""


class InvalidNodeName(ValueError):
    """A gateway node cannot be called that; the text says what was expected."""


class NodeExists(Exception):
    """A gateway node of this name is enrolled already."""


class NodeGone(Exception):
    """The gateway node was removed while it waited for an answer."""


class NotEnrolled(Exception):
    """The one-time token is unknown, used, or over; which of them is nobody's business."""
