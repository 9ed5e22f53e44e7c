"""What can go wrong with roles."""


class UnknownRole(LookupError):
    """The organization has no such role."""


class UnknownPin(LookupError):
    """The role has pinned no name to that subject."""
