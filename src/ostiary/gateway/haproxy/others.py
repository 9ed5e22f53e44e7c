"""What others count against the limits that this HAProxy enforces, as map entries that `counts.lua` reads.

Others are the other nodes, and what was here before a crash. The map `others.map` has one entry, `mode`,
which is there as long as anything is: `sum`, or `share-N` while nobody says what N nodes count now. The maps
`others-XX.map` have `what others counted/what the worker had counted when sharing began`; the second is
negative where that was another worker, by what that one counted later.
"""

from __future__ import annotations

from typing import Final

from ostiary.gateway.haproxy.decisions import MapEntry

OTHERS_MAP: Final = "others.map"
OTHERS_MODE: Final = "mode"
OTHERS_SHARDS: Final = 64


def others_map(key: str) -> str:
    """Name the map of a counted key; `counts.lua` finds it the same way."""
    number = 0
    for byte in key.encode()[-16:-10]:
        number = (number * 31 + byte) % OTHERS_SHARDS
    return f"others-{number:02x}.map"


def others_entry(key: str, others: int, here: int) -> MapEntry:
    """Return the entry that says what others have counted."""
    return MapEntry(others_map(key), key, f"{others}/{here}")


def others_mode(share_of: int) -> MapEntry:
    """Return the entry that says how to read the others; 0 is their sum."""
    return MapEntry(OTHERS_MAP, OTHERS_MODE, f"share-{share_of}" if share_of else "sum")
