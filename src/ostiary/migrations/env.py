"""Alembic's way in: the connection comes from `ostiary.app.migrate`, or from `__main__` when developing.

Migrations go forward only; the way back is the backup that was made before.
"""

from typing import Any, Literal

from alembic import context

import ostiary.apim
import ostiary.gateway
import ostiary.identity
import ostiary.oauth
import ostiary.organizations
import ostiary.permissions  # noqa: F401 (their tables register themselves)
from ostiary.foundation.database import Instant, metadata


def render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our column type as what it is in the database, so that a migration depends on no code of ours."""
    return "sa.BigInteger()" if kind == "type" and isinstance(item, Instant) else False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
    render_item=render,
)
context.run_migrations()
