"""Times as they are sent: ISO 8601 and nothing else, as a bare number says nothing of its unit."""

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def _written(value: Any) -> Any:
    if not (isinstance(value, str) and _DAY.match(value)):
        raise ValueError("a time in ISO 8601, such as 2027-01-31T12:00:00Z")
    return value


Moment = Annotated[datetime, BeforeValidator(_written)]
"""A time; who takes it says what it means without an offset."""
AwareMoment = Annotated[AwareDatetime, BeforeValidator(_written)]
"""A time with its offset from UTC."""
