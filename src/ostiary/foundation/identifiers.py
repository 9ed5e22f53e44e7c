"""Identifiers that carry no meaning."""

from uuid import uuid4


def new_id() -> str:
    """A random UUID (RFC 9562 §5.4) in its 36-character form."""
    return str(uuid4())
