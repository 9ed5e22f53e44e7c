"""Names of environment variables for the secrets of an exported document."""

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from ostiary.declarative.complaints import Path

_OTHER = re.compile(r"[^A-Z0-9]+")


def refer_to_secrets(
    document: Mapping[str, Any], secrets: Iterable[Path]
) -> tuple[dict[str, Any], list[str]]:
    """The document with `{env: NAME}` where secrets are, and the names; no two secrets share one."""
    changed = deepcopy(dict(document))
    names: list[str] = []
    for path in secrets:
        name = next(name for name in _candidates(document, path) if name not in names)
        names.append(name)
        *steps, last = path
        part: Any = changed
        for step in steps:
            part = part[step]
        part[last] = {"env": name}
    return changed, names


def _candidates(document: Mapping[str, Any], path: Path) -> Iterator[str]:
    section, index, *steps = path
    thing = document[str(section)][index]
    words = {
        "applications": lambda: [thing["keys"][steps[1]]["client_id"], "SECRET"],
        "apis": lambda: [thing["name"], thing["version"], "CLIENT_KEY"],
    }.get(str(section), lambda: [thing["name"], *steps])()
    name = _OTHER.sub("_", "_".join(map(str, words)).upper())
    name = f"_{name}" if name[0].isdigit() else name
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1
