"""The composition root: settings, migrations and the wiring of every slice."""

from ostiary.app.measuring import worker_counts
from ostiary.app.routes import methods_at, operation_for, operations
from ostiary.app.settings import Settings, environment_of, load_settings
from ostiary.app.store_measures import BREAKER_METRIC
from ostiary.app.tracing import TracingNotInstalled, check_tracing
from ostiary.app.wiring import build_app, framework_of

__all__ = [
    "BREAKER_METRIC",
    "Settings",
    "TracingNotInstalled",
    "build_app",
    "check_tracing",
    "environment_of",
    "framework_of",
    "load_settings",
    "methods_at",
    "migrate",
    "operation_for",
    "operations",
    "schema_state",
    "worker_counts",
]


def migrate(url: str) -> None:
    """Apply the missing migrations; see `ostiary.app.migrations`, which workers never load."""
    from ostiary.app.migrations import migrate as apply_missing

    apply_missing(url)


def schema_state(url: str) -> tuple[str | None, str | None]:
    """Return which schema the database has, and which this version writes."""
    from ostiary.app.migrations import schema_state as look

    return look(url)
