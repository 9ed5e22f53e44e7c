"""What the gateway's control side refuses."""

from __future__ import annotations


class InvalidNodeKeys(ValueError):
    """The keys a node wants to register are not acceptable; the text says which and why."""
