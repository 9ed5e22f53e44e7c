"""Alembic's way in: the connection comes from `ostiary.app.migrate`, or from a URL when developing."""

from alembic import context

import ostiary.apim
import ostiary.gateway
import ostiary.identity
import ostiary.oauth
import ostiary.organizations
import ostiary.permissions  # noqa: F401 (their tables register themselves)
from ostiary.foundation.database import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True)
context.run_migrations()
