"""Identifiers that carry no meaning."""

import re
from uuid import uuid4

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def new_id() -> str:
    """A random UUID (RFC 9562 §5.4) in its 36-character form."""
    return str(uuid4())


def is_id(text: str) -> bool:
    """Whether `new_id` may have made it; what has another form identifies nothing."""
    return _ID.match(text) is not None
