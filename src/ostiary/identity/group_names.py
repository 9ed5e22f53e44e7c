"""Names of groups, which others give: two that are too alike give nobody anything (ADR 0013).

A role lists a group by its exact name. Whoever may make groups somewhere in a directory could make one of
the same name, or of one that people take for it.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable


def likeness(name: str) -> str:
    """What is the same for names that look alike: width, composition, case and spaces are no difference."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def mistakable(names: Iterable[str]) -> frozenset[str]:
    """Those of different names that look like another one of them."""
    different = frozenset(names)
    counted = Counter(map(likeness, different))
    return frozenset(name for name in different if counted[likeness(name)] > 1)
